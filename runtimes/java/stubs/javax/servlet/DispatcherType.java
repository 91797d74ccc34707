package javax.servlet;

public enum DispatcherType {
    REQUEST
}
