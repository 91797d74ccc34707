package javax.servlet;

public abstract class ServletOutputStream extends java.io.OutputStream {}
