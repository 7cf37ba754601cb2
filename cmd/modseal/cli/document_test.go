//go:build linux

package cli

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/creack/pty"
)

// The document of a stranger is written as it is, and to a terminal so that it
// drives nothing there.
func TestDocumentOnATerminal(t *testing.T) {
	raw := []byte("{\"name\": \"\u009b2J\u202e\"}\n")
	var out bytes.Buffer
	writeDocument(&out, raw)
	if !bytes.Equal(out.Bytes(), raw) {
		t.Errorf("to a file: %q", out.String())
	}
	person, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	defer person.Close()
	defer tty.Close()
	writeDocument(tty, raw)
	line, err := bufio.NewReader(person).ReadString('\n')
	if want := "{\"name\": \"\\u009b2J\\u202e\"}\r\n"; err != nil || line != want {
		t.Errorf("to a terminal: %q, %v", line, err)
	}
}
