package published;

import com.aliyun.fc.runtime.Context;
import com.aliyun.fc.runtime.HttpRequestHandler;
import java.io.IOException;
import java.io.PrintWriter;
import javax.servlet.ServletException;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/** A page with a form, text and the attributes of the platform. */
public class Page implements HttpRequestHandler {
    @Override
    public void handleRequest(HttpServletRequest request, HttpServletResponse response, Context context)
        throws IOException, ServletException {
        if (request.getPathInfo().equals("/gone")) {
            response.sendError(410, "it is gone");
            return;
        }
        if (request.getPathInfo().equals("/away")) {
            response.sendRedirect("/elsewhere");
            return;
        }
        response.setContentType("text/plain");
        try (PrintWriter writer = response.getWriter()) {
            writer.println(request.getAttribute("FC_REQUEST_URI") + " " + request.getAttribute("FC_REQUEST_PATH"));
            writer.println(request.getParameter("a") + " " + String.join("|", request.getParameterValues("b")));
            writer.println(request.getRequestURL() + " " + request.getContextPath());
            writer.println(request.getCookies()[0].getValue() + " " + request.getIntHeader("x-number"));
        }
    }
}
