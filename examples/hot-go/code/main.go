// The hot function of IronFunctions' documentation: it reads requests from stdin and writes responses to stdout, one
// after the other, for as long as there is work.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
)

func main() {
	r := bufio.NewReader(os.Stdin)
	for {
		req, err := http.ReadRequest(r)
		if err == io.EOF {
			return
		}

		var buf bytes.Buffer
		if err != nil {
			fmt.Fprintln(&buf, err)
		} else {
			l, _ := strconv.Atoi(req.Header.Get("Content-Length"))
			p := make([]byte, l)
			io.ReadFull(r, p)

			fmt.Fprintf(&buf, "Hello %s\n", p)
			for k, vs := range req.Header {
				fmt.Fprintf(&buf, "ENV: %s %#v\n", k, vs)
			}
		}

		res := http.Response{
			Proto:      "HTTP/1.1",
			ProtoMajor: 1,
			ProtoMinor: 1,
			StatusCode: 200,
			Status:     "OK",
		}
		res.Body = io.NopCloser(&buf)
		res.ContentLength = int64(buf.Len())
		res.Write(os.Stdout)
	}
}
