package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/jsonscan"
)

// tree reads a value into what encoding/json makes of it with UseNumber.
func tree(s *jsonscan.Scanner) (any, error) {
	b, err := s.Next()
	if err != nil {
		return nil, err
	}
	switch b {
	case '{':
		m := map[string]any{}
		return m, s.Object(func(b []byte, _ int64) error {
			key := string(b)
			m[key], err = tree(s)
			return err
		})
	case '[':
		list := []any{}
		err := s.Array(func() error {
			v, err := tree(s)
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		b, err := s.Text(math.MaxInt32)
		return string(b), err
	case 't', 'f', 'n':
		word, err := s.Literal()
		if word == "null" {
			return nil, err
		}
		return word == "true", err
	}
	n, err := s.Number()
	return json.Number(n), err
}

func parse(text string) (any, error) {
	s := jsonscan.NewDocument("document", strings.NewReader(text), 1<<20)
	v, err := tree(s)
	if err != nil {
		return nil, err
	}
	return v, s.End()
}

func skip(text string) error {
	s := jsonscan.NewDocument("document", strings.NewReader(text), 1<<20)
	if err := s.Skip(); err != nil {
		return err
	}
	return s.End()
}

func TestValues(t *testing.T) {
	text := ` { "a" : [ ] , "b":{}, "\u0063\n\"\\\/\b\f\r\t":[true,false,null,-0,1.5e-3,12E+4],"😀":"\ud83d\ude00", "` +
		strings.Repeat("k", jsonscan.MaxKeySize) + `":"` + strings.Repeat("é", 9000) + `" } ` + "\n"
	got, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := skip(text); err != nil {
		t.Errorf("Skip: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	long := strings.Repeat("a", 5000)
	for _, tt := range []struct{ text, want string }{
		{``, "byte 0: document ends inside a value"},
		{` `, "byte 1: document ends inside a value"},
		{`{`, "byte 1: document ends inside a value"},
		{`{"a`, "byte 3: document ends inside a value"},
		{`{"a":1`, "byte 6: document ends inside a value"},
		{`{}x`, `byte 2: 'x' after the end of the document`},
		{`{} {}`, `byte 3: '{' after the end of the document`},
		{`{a:1}`, `byte 1: 'a' where a key should begin`},
		{`{"a":1,}`, `byte 7: '}' where a key should begin`},
		{`{"a" 1}`, "byte 5: no colon after a key"},
		{`{"a":1 "b":2}`, `byte 7: '"' after a value, where ',' or '}' should be`},
		{`{"a":1,"\u0061":2}`, `byte 7: duplicate key "a"`},
		{`[{"x":{"b":1,"b":2}}]`, `byte 13: duplicate key "b"`},
		{`[1,]`, `byte 3: ']' where a value should begin`},
		{`[1 2]`, `byte 3: '2' after a value, where ',' or ']' should be`},
		{`[}`, `byte 1: '}' where a value should begin`},
		{`[NaN]`, `byte 1: 'N' where a value should begin`},
		{`[01]`, `byte 1: "01" is no number`},
		{`[-]`, `byte 1: "-" is no number`},
		{`[1.]`, `byte 1: "1." is no number`},
		{`[1e]`, `byte 1: "1e" is no number`},
		{`[1-2]`, `byte 1: "1-2" is no number`},
		{`[` + strings.Repeat("1", 257) + `]`, "byte 1: number of more than 256 digits"},
		{`[nul]`, "byte 1: no literal but true, false and null"},
		{`[truE]`, "byte 1: no literal but true, false and null"},
		{"[\"\x01\"]", "byte 2: control character 0x01 in a string"},
		{"[\"\xff\"]", "byte 1: string is not valid UTF-8"},
		{"[\"" + long + "\xc3\x28" + "\"]", "byte 1: string is not valid UTF-8"},
		{"[\"" + long[:4095] + "\xc3\xff" + long + "\"]", "byte 1: string is not valid UTF-8"},
		{`["\x"]`, `byte 2: unknown escape \x`},
		{`["\u12g4"]`, `byte 2: \u without four hex digits`},
		{`["\ud800"]`, "byte 2: lone surrogate"},
		{`["\udc00"]`, "byte 2: lone surrogate"},
		{`["\ud800\u0041"]`, "byte 2: lone surrogate"},
		{`{"` + strings.Repeat("k", jsonscan.MaxKeySize+1) + `":1}`, "byte 1: string longer than 4096 bytes"},
		{strings.Repeat("[", 65), "byte 64: nested deeper than 64"},
		{strings.Repeat(`{"a":`, 65), "byte 320: nested deeper than 64"},
		{`"` + strings.Repeat("a", 1<<20) + `"`, "byte 1048576: document of more than 1048576 bytes"},
		{`{}` + strings.Repeat(" ", 1<<20), "byte 1048576: document of more than 1048576 bytes"},
	} {
		for how, err := range map[string]error{"Skip": skip(tt.text), "read": second(parse(tt.text))} {
			var breach *jsonscan.Error
			if !errors.As(err, &breach) || err.Error() != tt.want {
				t.Errorf("%s %.80q: got error %v\nwant %s", how, tt.text, err, tt.want)
			}
		}
	}
}

func second(_ any, err error) error { return err }

func TestSized(t *testing.T) {
	s := jsonscan.New("header", strings.NewReader("{}  "), 8, 4)
	if err := s.Skip(); err != nil || s.Offset() != 10 {
		t.Errorf("%v at %d", err, s.Offset())
	}
	if err := s.End(); err != nil || s.Offset() != 12 {
		t.Errorf("%v at %d", err, s.Offset())
	}
	err := jsonscan.New("header", strings.NewReader("{   "), 8, 4).Skip()
	if want := "byte 12: header ends inside a value"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	err = jsonscan.New("header", strings.NewReader("{   "), 8, 5).Skip()
	if want := "read header at byte 12: unexpected EOF"; !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestUints(t *testing.T) {
	uints := func(text string) ([]uint64, error) {
		var dst [3]uint64
		n, err := jsonscan.NewDocument("document", strings.NewReader(text), 100).Uints(dst[:], "shape")
		return dst[:n], err
	}
	got, err := uints("[ 0 , 9223372036854775807,7 ]")
	if d := cmp.Diff([]uint64{0, math.MaxInt64, 7}, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for text, want := range map[string]string{
		`{}`:                    "byte 0: not an array",
		`[1,]`:                  `byte 3: shape: ']' does not begin an unsigned integer`,
		`[-1]`:                  `byte 1: shape: '-' does not begin an unsigned integer`,
		`[1.0]`:                 `byte 2: shape: '.' in a number, where only unsigned integers are allowed`,
		`[1 1]`:                 `byte 3: shape: '1' where ',' or ']' should be`,
		`[00]`:                  "byte 1: shape: number with a leading zero",
		`[9223372036854775808]`: "byte 1: shape: number above 2^63-1",
		`[1,2,3,4]`:             "byte 7: shape holds more than 3 numbers",
		`[1,2,3`:                "byte 6: document ends inside a value",
	} {
		if _, err := uints(text); err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %s", text, err, want)
		}
	}
}

// numbered is an object of so many keys, made as it is read.
func numbered(n int) io.Reader {
	i := 0
	return io.MultiReader(strings.NewReader("{"), readerFunc(func(b []byte) (int, error) {
		if i == n {
			return 0, io.EOF
		}
		text := fmt.Appendf(nil, `"%d":0,`, i)
		if i++; i == n {
			text[len(text)-1] = '}'
		}
		return copy(b, text), nil
	}))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// endless is a text that goes on as it is.
func endless(head, body string) io.Reader {
	return io.MultiReader(strings.NewReader(head), readerFunc(func(b []byte) (int, error) {
		n := len(b) / len(body) * len(body)
		copy(b, bytes.Repeat([]byte(body), n/len(body)))
		return n, nil
	}))
}

func TestMemory(t *testing.T) {
	const budget, limit = 32 << 20, 64 << 20
	for _, tt := range []struct {
		name string
		r    io.Reader
		want string
	}{
		{"as many keys as may be", numbered(jsonscan.MaxMembers), ""},
		{"one key more", numbered(jsonscan.MaxMembers + 1), "more than 500000 members"},
		{"a string", endless(`"`, "a"), "document of more than 67108864 bytes"},
		{"escapes", endless(`"`, `\u00e9`), "document of more than 67108864 bytes"},
		{"a number", endless(``, "1"), "number of more than 256 digits"},
		{"white space", endless(``, " "), "document of more than 67108864 bytes"},
		{"small objects", endless("[", `{"a":0,"b":1},`), "document of more than 67108864 bytes"},
		{"large objects", endless("[", `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"r":0},`), "document of more than 67108864 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			s := jsonscan.NewDocument("document", tt.r, limit)
			err := s.Skip()
			runtime.GC()
			runtime.ReadMemStats(&after)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if got := after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc); got > 1<<20 {
				t.Errorf("the scanner holds %d bytes of the heap", got)
			}
			runtime.KeepAlive(s)
		})
	}
	// The keys of an object are what is kept; while it is open they are all there.
	r := numbered(jsonscan.MaxMembers)
	s := jsonscan.NewDocument("document", r, limit)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	err := s.Object(func([]byte, int64) error {
		if n++; n == jsonscan.MaxMembers {
			runtime.GC()
			runtime.ReadMemStats(&after)
		}
		return s.Skip()
	})
	if got := after.HeapAlloc - before.HeapAlloc; err != nil || got > budget {
		t.Errorf("%v, %d bytes of the heap", err, got)
	} else {
		t.Logf("%d bytes of the heap for %d keys", got, n)
	}
}

// FuzzScanner: what is read is what encoding/json reads, and Skip accepts the same
// documents.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `"a"`, `0`, `null`, ` {"a":[1,-2.5e3,true],"b":{"c":"\ud83d\ude00"}} `, `{"a":1,"a":2}`, `["\ud800"]`, `[1,]`, "\"\xff\"", `{"":{"":{}}}`,
		`{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0,"q":0,"r":0,"a":0}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse(text)
		// Of several things that are wrong, either may come first.
		if serr := skip(text); (serr == nil) != (err == nil) {
			t.Fatalf("read: %v, Skip: %v", err, serr)
		}
		if err != nil {
			if _, ok := errors.AsType[*jsonscan.Error](err); !ok {
				t.Fatalf("a complete document gave an error of reading: %v", err)
			}
			return
		}
		if !utf8.ValidString(text) {
			t.Fatal("not valid UTF-8")
		}
		var want any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}
