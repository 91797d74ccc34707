package javax.servlet;

public interface ReadListener {}
