package javax.servlet.http;

public interface Part {}
