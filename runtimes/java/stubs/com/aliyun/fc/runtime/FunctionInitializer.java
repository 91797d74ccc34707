package com.aliyun.fc.runtime;

public interface FunctionInitializer {
    void initialize(Context context) throws java.io.IOException;
}
