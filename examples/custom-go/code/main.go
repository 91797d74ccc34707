// A web server as anybody would write it: nothing in it knows the platform.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

var served atomic.Int64

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/count", count)
	http.HandleFunc("/ticks", ticks)
	http.HandleFunc("/invoke", invoke)
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	log.Printf("listening on port %s", port)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello from Go: %s %s\n", r.Method, r.URL.Path)
}

// count tells how many bytes came, without keeping any.
func count(w http.ResponseWriter, r *http.Request) {
	bytes, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]int64{"bytes": bytes, "served": served.Add(1)})
}

// ticks sends five events, one each 100 ms.
func ticks(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 1; i <= 5; i++ {
		fmt.Fprintf(w, "data: tick %d\n\n", i)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// invoke takes events: what `thaw invoke` and triggers send.
func invoke(w http.ResponseWriter, r *http.Request) {
	event, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log.Printf("event of %d bytes", len(event))
	fmt.Fprintf(w, "Go got %s\n", event)
}
