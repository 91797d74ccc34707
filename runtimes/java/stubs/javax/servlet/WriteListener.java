package javax.servlet;

public interface WriteListener {}
