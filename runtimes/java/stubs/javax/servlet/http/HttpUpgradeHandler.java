package javax.servlet.http;

public interface HttpUpgradeHandler {}
