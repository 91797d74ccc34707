package web;

import com.aliyun.fc.runtime.Context;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicInteger;
import javax.servlet.http.Cookie;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/** What the cases of web handlers run: README.md. */
public class Functions {
    private final AtomicInteger cancelled = new AtomicInteger();

    public void echo(HttpServletRequest request, HttpServletResponse response, Context context) throws IOException {
        String text = new String(request.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        String json =
            "{\"method\":\"" + request.getMethod()
                + "\",\"path\":\"" + request.getPathInfo()
                + "\",\"query\":\"" + request.getQueryString()
                + "\",\"contentType\":\"" + request.getContentType()
                + "\",\"custom\":\"" + request.getHeader("x-custom")
                + "\",\"remote\":\"" + request.getRemoteAddr()
                + "\",\"scheme\":\"" + request.getScheme()
                + "\",\"body\":\"" + text + "\"}";
        byte[] body = json.getBytes(StandardCharsets.UTF_8);
        response.setStatus(201);
        response.setContentType("application/json");
        response.setContentLength(body.length);
        response.setHeader("X-Mixed-Case", "yes");
        response.addCookie(new Cookie("a", "1"));
        response.addHeader("Set-Cookie", "b=2");
        response.getOutputStream().write(body);
    }

    public void status(HttpServletRequest request, HttpServletResponse response, Context context) throws IOException {
        String path = request.getPathInfo();
        int status = Integer.parseInt(path.substring(path.lastIndexOf('/') + 1));
        response.setStatus(status);
        response.setContentType("text/plain");
        response.getOutputStream().print("status " + status);
        response.flushBuffer();
    }

    public void streamEcho(HttpServletRequest request, HttpServletResponse response, Context context) throws IOException {
        OutputStream out = response.getOutputStream();
        InputStream in = request.getInputStream();
        out.write("ready\n".getBytes(StandardCharsets.UTF_8));
        out.flush();
        byte[] piece = new byte[3];
        for (int count = in.read(piece); count >= 0; count = in.read(piece)) {
            out.write(piece, 0, count);
            out.flush();
        }
    }

    public void mirror(HttpServletRequest request, HttpServletResponse response, Context context) throws IOException {
        response.setContentType("application/octet-stream");
        request.getInputStream().transferTo(response.getOutputStream());
    }

    public void fails(HttpServletRequest request, HttpServletResponse response, Context context) throws Exception {
        throw new Exception("the page failed");
    }

    public void failsMidway(HttpServletRequest request, HttpServletResponse response, Context context) throws Exception {
        response.getOutputStream().print("part");
        response.flushBuffer();
        throw new Exception("the page failed");
    }

    public void untilCancelled(HttpServletRequest request, HttpServletResponse response, Context context)
        throws IOException, InterruptedException {
        OutputStream out = response.getOutputStream();
        if (!request.getPathInfo().equals("/wait")) {
            out.write(cancelled.toString().getBytes(StandardCharsets.UTF_8));
            return;
        }
        try {
            while (true) {
                out.write("tick".getBytes(StandardCharsets.UTF_8));
                out.flush();
                Thread.sleep(10);
            }
        } catch (IOException error) {
            cancelled.incrementAndGet();
            throw error;
        }
    }

    public void oddNames(HttpServletRequest a, HttpServletResponse b) throws IOException {
        b.getWriter().print("odd");
    }

    public void logs(HttpServletRequest request, HttpServletResponse response, Context context) throws IOException {
        System.out.println("before");
        response.getWriter().print("logged");
        System.out.print("partial");
    }
}
