package partial

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"testing/quick"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/modseal/modseal/pkg/fileid"
)

var blob = ocispec.Descriptor{MediaType: "application/x-test", Digest: digest.FromString("x"), Size: 1000}

func text(t testing.TB, j journal, lines ...string) []byte {
	t.Helper()
	raw, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, '\n')
	for _, l := range lines {
		raw = append(raw, l...)
	}
	return raw
}

func sample() journal {
	return journal{
		Version: journalVersion, Digest: blob.Digest, Size: blob.Size, Boot: "this",
		Durable: spans{{0, 100}}, Written: spans{{0, 150}, {500, 600}},
		Front: 100, State: []byte("state"), ID: &fileid.ID{Size: 1000},
	}
}

func TestWhatAJournalIsBelieved(t *testing.T) {
	line := func(a, b int64) string { return string(formatLine(Span{a, b})) }
	all := spans{{0, 150}, {500, 600}}
	change := func(f func(*journal)) journal {
		j := sample()
		f(&j)
		return j
	}
	for name, c := range map[string]struct {
		raw  []byte
		boot string
		want spans // nil: nothing is believed
	}{
		"the same boot":        {text(t, sample()), "this", all},
		"another boot":         {text(t, sample(), line(200, 300)), "that", spans{{0, 100}}},
		"a boot of no name":    {text(t, change(func(j *journal) { j.Boot = "" })), "", spans{{0, 100}}},
		"lines":                {text(t, sample(), line(150, 200), line(700, 800)), "this", spans{{0, 200}, {500, 600}, {700, 800}}},
		"a torn line":          {text(t, sample(), line(150, 200), line(700, 800)[:9]), "this", spans{{0, 200}, {500, 600}}},
		"a line without end":   {bytes.TrimSuffix(text(t, sample(), line(150, 200)), []byte("\n")), "this", all},
		"a wrong sum":          {text(t, sample(), "150 200 00000000\n", line(700, 800)), "this", all},
		"a line beyond":        {text(t, sample(), line(150, 1001)), "this", all},
		"a backward line":      {text(t, sample(), line(300, 200)), "this", all},
		"a negative line":      {text(t, sample(), line(-5, 200)), "this", all},
		"nothing":              {nil, "this", nil},
		"no line end":          {bytes.TrimSuffix(text(t, sample()), []byte("\n")), "this", nil},
		"another version":      {text(t, change(func(j *journal) { j.Version++ })), "this", nil},
		"another digest":       {text(t, change(func(j *journal) { j.Digest = digest.FromString("y") })), "this", nil},
		"another size":         {text(t, change(func(j *journal) { j.Size-- })), "this", nil},
		"beyond the end":       {text(t, change(func(j *journal) { j.Durable[0].End = 1001 })), "this", nil},
		"a negative span":      {text(t, change(func(j *journal) { j.Durable[0].Start = -1 })), "this", nil},
		"an empty span":        {text(t, change(func(j *journal) { j.Durable[0].End = 0 })), "this", nil},
		"spans out of order":   {text(t, change(func(j *journal) { slices.Reverse(j.Written) })), "this", nil},
		"overlapping spans":    {text(t, change(func(j *journal) { j.Written[1].Start = 10 })), "this", nil},
		"an unknown field":     {bytes.Replace(text(t, sample()), []byte(`"version"`), []byte(`"more":1,"version"`), 1), "this", nil},
		"two values in a line": {bytes.Replace(text(t, sample()), []byte("\n"), []byte("{}\n"), 1), "this", nil},
		"too many spans": {text(t, change(func(j *journal) {
			j.Written = nil
			for i := range int64(mostSpans + 1) {
				j.Written = append(j.Written, Span{i * 2, i*2 + 1})
			}
		})), "this", nil},
	} {
		t.Run(name, func(t *testing.T) {
			j := parseJournal(c.raw, blob, c.boot)
			switch {
			case j == nil && c.want != nil:
				t.Error("nothing is believed")
			case j != nil && !slices.Equal(j.believed, c.want):
				t.Errorf("believed are %v, want %v", j.believed, c.want)
			}
		})
	}
}

func TestStateIsBelievedWithinTheFront(t *testing.T) {
	for name, f := range map[string]func(*journal){
		"farther than the bytes": func(j *journal) { j.Front = 151 },
		"negative":               func(j *journal) { j.Front = -1 },
		"without an identity":    func(j *journal) { j.ID = nil },
		"without a state":        func(j *journal) { j.State = nil },
	} {
		j := sample()
		f(&j)
		if got := parseJournal(text(t, j), blob, "this"); got == nil || got.State != nil || got.ID != nil || got.Front != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := parseJournal(text(t, sample()), blob, "this"); got == nil || got.Front != 100 || got.ID == nil {
		t.Errorf("%+v", got)
	}
}

// Spans are what a set of bytes would be.
func TestSpans(t *testing.T) {
	check := func(list []struct{ At, N uint8 }) bool {
		const size = 400
		var s spans
		var set [size]bool
		for _, l := range list {
			n := Span{int64(l.At), int64(l.At) + int64(l.N)%100}
			s = s.add(n)
			for i := n.Start; i < n.End; i++ {
				set[i] = true
			}
		}
		var back [size]bool
		for _, e := range s {
			for i := e.Start; i < e.End; i++ {
				back[i] = true
			}
		}
		for _, e := range s.missing(size) {
			for i := e.Start; i < e.End; i++ {
				if back[i] {
					return false
				}
			}
		}
		for i := range int64(size) {
			for _, w := range []Span{{i, i + 1}, {i, min(i+37, size)}, {0, i}} {
				if s.has(w) != (len(s.lacks(w)) == 0) {
					return false
				}
				if in := s.within(w); !in.valid(w.Len()) || in.total()+spans(s.lacks(w)).total() != w.Len() {
					return false
				}
			}
		}
		if len(list) > 0 { // without the last one again
			n := Span{int64(list[len(list)-1].At), int64(list[len(list)-1].At) + int64(list[len(list)-1].N)%100}
			rest := slices.Clone(s).remove(n)
			if !rest.valid(size) || len(rest.within(n)) > 0 || rest.total()+s.within(n).total() != s.total() {
				return false
			}
			for _, w := range []Span{{0, n.Start}, {n.End, size}} {
				if !slices.Equal(rest.within(w), s.within(w)) {
					return false
				}
			}
		}
		end := int64(0)
		for end < size && set[end] {
			end++
		}
		var gaps int64
		for _, e := range s.missing(size) {
			gaps += e.Len()
		}
		return set == back && s.valid(size) && s.end(0) == end && s.total()+gaps == size
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(text(f, sample(), string(formatLine(Span{150, 200}))))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		j := parseJournal(raw, blob, "this")
		if j == nil {
			return
		}
		if !j.believed.valid(blob.Size) || !j.Durable.valid(blob.Size) || j.Front < 0 || j.Front > j.believed.end(0) {
			t.Errorf("%+v", j)
		}
		if (j.ID == nil) != (j.State == nil) {
			t.Errorf("half a state: %+v", j)
		}
	})
}
