package pickle_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// Literals that are other files are handed on, as the bytes that a loader makes of
// them, and count as looked at then.
func TestVisitsLiterals(t *testing.T) {
	zip := "PK\x03\x04" + strings.Repeat("\xff\x00", 3000)
	load := func(literal string) []byte {
		return cat(proto(2), global("torch.storage", "_load_from_bytes"), literal, "\x85R.")
	}
	latin1 := global("_codecs", "encode") + uni(utf8Of(zip)) + uni("latin1") + "\x86R"
	legacy := string(pickle.LegacyMagic) + "and so on"
	for name, tt := range map[string]struct {
		pickle []byte
		want   string
	}{
		"bytes":  {load(bin(zip)), zip},
		"text":   {load(latin1), zip},
		"short":  {load(bin(zip[:100])), zip[:100]},
		"legacy": {load(bin(legacy)), legacy},
	} {
		for _, c := range []hazard.Content{hazard.OfFile("x", bytes.NewReader(tt.pickle), int64(len(tt.pickle))), stream(tt.pickle)} {
			var got []string
			o := pickle.Options{Visit: func(_ context.Context, c hazard.Content) error {
				for range 2 { // it can be opened again
					r, err := c.Open()
					if err != nil {
						return err
					}
					b, err := io.ReadAll(r)
					if err != nil {
						return err
					}
					got = append(got, string(b))
				}
				if c.Depth != 1 || !strings.HasPrefix(c.Name, "literal at ") {
					t.Errorf("%s: depth %d of %q", name, c.Depth, c.Name)
				}
				return nil
			}}
			s := scanContent(t, c, o)
			if d := cmp.Diff([]string{tt.want, tt.want}, got); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			if rules := s.rules(); len(rules) > 1 || len(rules) == 1 && rules[0] != "pickle-protocol" {
				t.Errorf("%s: %+v", name, s.findings)
			}
		}
	}
	gone := errors.New("the disk is gone")
	b := load(bin(zip))
	o := pickle.Options{Visit: func(context.Context, hazard.Content) error { return gone }}
	if _, err := pickle.Scan(context.Background(), stream(b), o, func(hazard.Finding) {}); !errors.Is(err, gone) {
		t.Error(err)
	}
}

// Pickles in literals are found whatever the size of the literal, where it can be read
// at any place; in compressed data a large one is said to be unread.
func TestLargeLiterals(t *testing.T) {
	hidden := proto(4) + bin(strings.Repeat("x", 2<<20)) + "0" + evil[2:]
	b := cat(proto(4), bin(hidden), ".")
	if s := scan(t, b, pickle.Options{}); s.verdict() != hazard.Dangerous || s.findings[0].Offset != int64(bytes.Index(b, []byte("\x8c\x06system"))+8) {
		t.Errorf("%+v", s.findings)
	}
	if s := scanContent(t, stream(b), pickle.Options{}); s.verdict() != hazard.Incomplete {
		t.Errorf("%+v", s.findings)
	}
	text := cat(proto(2), global("_codecs", "encode"), uni(utf8Of(proto(4)+bin(strings.Repeat("\xff", 10_000))+"0"+evil[2:])), uni("latin1"), "\x86R.")
	for _, s := range []scanned{scan(t, text, pickle.Options{}), scanContent(t, stream(text), pickle.Options{})} {
		if s.verdict() != hazard.Dangerous {
			t.Errorf("%+v", s.findings)
		}
	}
}

func TestProbe(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		want    bool
	}{
		"pickle that calls":            {evil, true},
		"pickle that names":            {proto(4) + stackGlobal("a", "b") + ".", true},
		"pickle that breaks":           {proto(4) + stackGlobal("a", "b") + "\xff", true},
		"pickle without PROTO":         {"cos\nsystem\n(S'true'\ntR.", true},
		"pickle of numbers":            {proto(4) + "K\x01.", false},
		"zeros":                        {strings.Repeat("\x00", 100), false},
		"numbers":                      {"\x80\x02\x9a\x3f\x00\x00\x80\x3f", false},
		"pickle behind one of numbers": {"K\x01." + "cos\nsystem\n(S'true'\ntR.", true},
		"pickle behind too much":       {strings.Repeat("N0", pickle.MaxOpcodes/2+1) + "cos\nsystem\n(S'true'\ntR.", true},
		"text that begins as GLOBAL":   {"class\nof things\n", false},
		"nothing":                      {"", false},
	} {
		got, err := pickle.Probe(context.Background(), hazard.OfFile("0", strings.NewReader(tt.content), int64(len(tt.content))))
		if err != nil || got != tt.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
