package javax.servlet;

public interface AsyncContext {}
