package com.aliyun.fc.runtime;

public interface FunctionParam {}
