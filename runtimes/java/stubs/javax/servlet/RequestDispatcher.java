package javax.servlet;

public interface RequestDispatcher {}
