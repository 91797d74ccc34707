package com.aliyun.fc.runtime;

public interface FunctionComputeLogger {
    enum Level {}
}
