package pickle_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// What no loader accepts is never clean, and the finding says where and why.
func TestMalformed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pickle  string
		at      int64
		rule    string
		message string
	}{
		{"empty", "", 0, "pickle-truncated", "the pickle ends in the middle, after 0 opcodes"},
		{"no STOP", proto(4), 2, "pickle-truncated", "the pickle ends in the middle, after 1 opcodes"},
		{"PROTO without a number", "\x80", 0, "pickle-truncated", "the pickle ends in the middle, after 1 opcodes"},
		{"protocol of the future", proto(6) + "N.", 0, "pickle-malformed", "protocol 6 does not exist"},
		{"no opcode", proto(2) + "N\xff.", 3, "pickle-invalid-opcode", "byte 0xff is no opcode: a loader stops here, and has run what was before"},
		{"text that is no pickle", "hello", 0, "pickle-malformed", "BINGET 101: nothing was put there"},
		{"STOP on nothing", ".", 0, "pickle-malformed", "STOP finds fewer than 1 values on the stack"},
		{"POP on nothing", "0", 0, "pickle-malformed", "POP finds fewer than 1 values on the stack"},
		{"DUP on nothing", "2", 0, "pickle-malformed", "DUP finds fewer than 1 values on the stack"},
		{"TUPLE without a mark", "Nt.", 1, "pickle-malformed", "TUPLE finds no mark"},
		{"POP_MARK without a mark", "N1.", 1, "pickle-malformed", "POP_MARK finds no mark"},
		{"APPENDS below the mark", "(e.", 1, "pickle-malformed", "APPENDS finds fewer than 1 values on the stack"},
		{"REDUCE below the mark", "NN(R.", 3, "pickle-malformed", "REDUCE finds fewer than 2 values on the stack"},
		{"DICT of one", "(Nd.", 2, "pickle-malformed", "DICT of 1 values, which are no pairs"},
		{"SETITEMS of one", "}(Nu.", 3, "pickle-malformed", "SETITEMS of 1 values, which are no pairs"},
		{"OBJ without a class", "(o.", 1, "pickle-malformed", "OBJ finds no class above the mark"},
		{"memo without the number", "h\x05.", 0, "pickle-malformed", "BINGET 5: nothing was put there"},
		{"memo by no number", "Npx\n.", 1, "pickle-malformed", `PUT "x": that is no number of the memo`},
		{"memo by a negative number", "Np-1\n.", 1, "pickle-malformed", `PUT "-1": that is no number of the memo`},
		{"memo of nothing", "q\x00.", 0, "pickle-malformed", "BINPUT finds fewer than 1 values on the stack"},
		{"negative length", "T\xff\xff\xff\xff.", 0, "pickle-malformed", "BINSTRING has a negative length"},
		{"negative length of a number", proto(2) + "\x8b\xff\xff\xff\xff.", 2, "pickle-malformed", "LONG4 has a negative length"},
		{"length beyond the end", "X\x05\x00\x00\x00abc", 0, "pickle-truncated", "BINUNICODE announces 5 bytes, where 3 follow"},
		{"length of 64 bits", proto(4) + "\x8e" + u64(1<<63), 2, "pickle-truncated", "BINBYTES8 announces 9223372036854775808 bytes, where 0 follow"},
		{"length that is cut", "X\x05\x00", 0, "pickle-truncated", "the pickle ends in the middle, after 1 opcodes"},
		{"line that is cut", "I12", 0, "pickle-truncated", "the pickle ends in the middle, after 1 opcodes"},
		{"number that is cut", "J\x01", 0, "pickle-truncated", "the pickle ends in the middle, after 1 opcodes"},
		{"stack", strings.Repeat("N", pickle.MaxStack+2) + ".", pickle.MaxStack + 1, "pickle-limit", "more than 100000 values on the stack"},
		{"marks", strings.Repeat("(", pickle.MaxStack+2) + ".", pickle.MaxStack + 1, "pickle-limit", "more than 100000 values on the stack"},
		{"memo far away", farMemo(), 7*1024 + 1, "pickle-limit", "more than 1000000 values are remembered, or number 4294967295 is far beyond them"},
		{"opcodes", strings.Repeat("N0", pickle.MaxOpcodes/2) + "N.", pickle.MaxOpcodes, "pickle-limit", "more than 10000000 opcodes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scan(t, []byte(tt.pickle), pickle.Options{})
			if v := s.verdict(); v != hazard.Incomplete && v != hazard.Dangerous || s.Whole {
				t.Errorf("verdict %s, whole %v", v, s.Whole)
			}
			last := s.findings[len(s.findings)-1]
			if last.Rule != tt.rule || last.Message != tt.message || last.Offset != tt.at {
				t.Errorf("got %s at %d: %s", last.Rule, last.Offset, last.Message)
			}
		})
	}
}

func farMemo() string {
	var b strings.Builder
	for i := range 1025 {
		b.WriteString("Nr" + string([]byte{byte(i), byte(i >> 8), 0xff, 0xff}) + "0")
	}
	s := b.String()
	return s[:len(s)-6] + "r\xff\xff\xff\xff"
}

func manyGlobals(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("cbuiltins\n" + string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)}) + "\n0")
	}
	return b.String()
}

// Findings without end are cut, and that is said.
func TestTooManyFindings(t *testing.T) {
	s := scan(t, []byte(manyGlobals(2000)+"N."), pickle.Options{})
	if n := len(s.findings); n != pickle.MaxFindings+1 || s.findings[n-1].Rule != "pickle-limit" || s.Whole {
		t.Errorf("%d findings, the last %+v", n, s.findings[n-1])
	}
}

// An error of reading is an error, and no finding about the file.
func TestErrorOfReading(t *testing.T) {
	broken := errors.New("the disk is gone")
	c := hazard.Content{Name: "x", Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("(N"), iotest.ErrReader(broken))), nil
	}}
	report := func(f hazard.Finding) { t.Errorf("%+v", f) }
	if _, err := pickle.Scan(context.Background(), c, pickle.Options{}, report); !errors.Is(err, broken) {
		t.Error(err)
	}
	c.Open = func() (io.ReadCloser, error) { return nil, broken }
	if _, err := pickle.Scan(context.Background(), c, pickle.Options{}, report); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := pickle.Scan(ctx, stream([]byte("N.")), pickle.Options{}, report); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
