package hf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// published reads a file of a model that nobody here made: see hack/models.sh.
func published(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "bin", "models", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("hack/models.sh fetches " + name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The numbers are those that encoding/json finds.
func TestReadPublishedTokenizer(t *testing.T) {
	b := published(t, "qwen3/tokenizer.json")
	var whole struct {
		Model struct {
			Type   string
			Vocab  map[string]int
			Merges []any
		}
		Added []any `json:"added_tokens"`
	}
	if err := json.Unmarshal(b, &whole); err != nil {
		t.Fatal(err)
	}
	want := &hf.Tokenizer{
		Model: whole.Model.Type, Vocabulary: uint64(len(whole.Model.Vocab)), Merges: uint64(len(whole.Model.Merges)), Added: uint64(len(whole.Added)),
	}
	got, err := hf.ReadTokenizer(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Vocabulary != 151_643 || got.Merges < 100_000 || got.Added == 0 {
		t.Errorf("%+v", got)
	}
	before := heap()
	r := &weighed{Reader: bytes.NewReader(b), before: before}
	if _, err := hf.ReadTokenizer(r); err != nil || r.most > 16<<20 {
		t.Errorf("%v, %d bytes of the heap for a tokenizer of %d", err, r.most, len(b))
	}
}

// weighed notes what the heap had at most while it was read.
type weighed struct {
	io.Reader
	before, most uint64
	reads        int
}

func (w *weighed) Read(b []byte) (int, error) {
	if w.reads++; w.reads%8 == 0 {
		now := heap()
		w.most = max(w.most, now-min(now, w.before))
	}
	return w.Reader.Read(b)
}

func TestReadPublishedTokenizerConfig(t *testing.T) {
	b := published(t, "qwen3/tokenizer_config.json")
	got, err := hf.ReadTokenizerConfig(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got.Class != "Qwen2Tokenizer" || got.MaxLength != 131_072 || got.Tokens.EOS != "<|im_end|>" || got.RemoteCode || len(got.Templates) != 1 {
		t.Errorf("%+v", got)
	}
	if !hf.TemplateUsesTools(got.Templates[0].Text) {
		t.Error("the template reads tools")
	}
}

func BenchmarkReadTokenizer(b *testing.B) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "bin", "models", "qwen3", "tokenizer.json"))
	if err != nil {
		b.Skip("hack/models.sh fetches it")
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hf.ReadTokenizer(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
