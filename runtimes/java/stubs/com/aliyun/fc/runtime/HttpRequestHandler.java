package com.aliyun.fc.runtime;

public interface HttpRequestHandler {
    void handleRequest(
        javax.servlet.http.HttpServletRequest request, javax.servlet.http.HttpServletResponse response, Context context)
        throws java.io.IOException;
}
