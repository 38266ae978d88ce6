// Judges each line of requests by the snippet beside it; one line of JSON in, one out.
package main

import (
	"bufio"
	"encoding/json"
	"identity"
	"net/http"
	"os"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var headers [][2]string
		if err := json.Unmarshal(lines.Bytes(), &headers); err != nil {
			panic(err)
		}
		received := http.Header{}
		for _, header := range headers {
			received.Add(header[0], header[1])
		}
		claims, err := identity.Of(received.Values("X-Kombo-Assertion"))
		said := map[string]any{"claims": claims}
		if err != nil {
			said = map[string]any{"refused": err.Error()}
		}
		if err := answers.Encode(said); err != nil {
			panic(err)
		}
	}
}
