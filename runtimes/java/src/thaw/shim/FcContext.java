package thaw.shim;

import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.Credentials;
import com.aliyun.fc.runtime.FunctionComputeLogger;
import com.aliyun.fc.runtime.FunctionParam;
import com.aliyun.fc.runtime.OpenTracing;
import com.aliyun.fc.runtime.Service;
import java.util.Map;

/**
 * The context of the published interfaces. Those come from the user's class path: this is compiled against names alone
 * ({@code stubs/}), so it runs with every version of them, and a method of a later one is an AbstractMethodError.
 */
final class FcContext implements Context {
    private final Contexts contexts;
    private final Map<String, Object> head;
    private final Credentials credentials = new FcCredentials();
    private final FunctionParam function;
    private final Service service = new FcService();
    private final FunctionComputeLogger logger;
    private final OpenTracing tracing = new FcTracing();

    FcContext(Contexts contexts, Map<String, Object> head) {
        this.contexts = contexts;
        this.head = head;
        this.function = new FcFunction(contexts);
        this.logger = new FcLogger(getRequestId());
    }

    public String getRequestId() {
        return Contexts.asText(head.get("id"));
    }

    public Credentials getExecutionCredentials() {
        return credentials;
    }

    public FunctionParam getFunctionParam() {
        return function;
    }

    public Service getService() {
        return service;
    }

    public FunctionComputeLogger getLogger() {
        return logger;
    }

    public OpenTracing getTracing() {
        return tracing;
    }

    public int getRetryCount() {
        return head.get("retry") instanceof Integer ? (Integer) head.get("retry") : 0;
    }

    /** The platform lends no keys; what the function's owner put into the environment is theirs to use. */
    private static final class FcCredentials implements Credentials {
        public String getAccessKeyId() {
            return variable("ALIBABA_CLOUD_ACCESS_KEY_ID");
        }

        public String getAccessKeySecret() {
            return variable("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
        }

        public String getSecurityToken() {
            return variable("ALIBABA_CLOUD_SECURITY_TOKEN");
        }

        private static String variable(String name) {
            String value = System.getenv(name);
            return value == null ? "" : value;
        }
    }

    private static final class FcFunction implements FunctionParam {
        private final Contexts contexts;

        FcFunction(Contexts contexts) {
            this.contexts = contexts;
        }

        public String getFunctionName() {
            return contexts.functionText("name");
        }

        public String getFunctionHandler() {
            return contexts.functionText("handler");
        }

        public String getFunctionInitializer() {
            return contexts.functionText("initializer");
        }

        public int getExecTimeLimitInMillis() {
            return (int) Math.round(contexts.functionNumber("timeout") * 1000);
        }

        public int getMemoryLimitInMB() {
            return (int) contexts.functionNumber("memory");
        }
    }

    /** As in Function Compute 2.0; aliases share instances, so a request may name another version than the start did. */
    private final class FcService implements Service {
        public String getName() {
            return "";
        }

        public String getLogProject() {
            return contexts.text("logProject");
        }

        public String getLogStore() {
            return contexts.text("logStore");
        }

        public String getQualifier() {
            return version("qualifier");
        }

        public String getVersionId() {
            return version("versionId");
        }

        private String version(String key) {
            return head.get(key) instanceof String ? (String) head.get(key) : contexts.functionText(key);
        }
    }

    private static final class FcTracing implements OpenTracing {
        public String getSpanContext() {
            return "";
        }

        public Map<String, String> getSpanBaggages() {
            return Map.of();
        }

        public String getJaegerEndpoint() {
            return "";
        }
    }
}
