package com.aliyun.fc.runtime;

public interface StreamRequestHandler {
    void handleRequest(java.io.InputStream input, java.io.OutputStream output, Context context) throws java.io.IOException;
}
