package secret

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
)

// Found is one credential. The secret itself is nowhere in it.
type Found struct {
	Rule        string // id of gitleaks: aws-access-token
	Description string
	Offset      int64 // of the secret, in bytes
	Line        int   // from 1
	Length      int   // of the secret, in bytes
}

// Generic is the rule that finds whatever looks random behind a name such as key: it
// is a guess, and often a wrong one.
const Generic = "generic-api-key"

const (
	chunkSize = 128 << 10
	// overlap is how far chunks reach into each other: the longest credentials are
	// private keys, with 4 KiB.
	overlap = 8 << 10
	// maxFound bounds the credentials of one text.
	maxFound = 1_000
)

// Find reads text to its end and calls f for each credential in it. path is that of
// the file, by which some rules decide. Memory does not grow with the text.
func Find(path string, text io.Reader, f func(Found) error) error {
	d, err := rules()
	if err != nil {
		return err
	}
	return d.find(path, text, f)
}

func (d *document) find(path string, text io.Reader, f func(Found) error) error {
	s := &search{document: d, path: path, found: f}
	s.allowed = sync.OnceValue(func() bool { return d.Allowlist.allowsPath(path) })
	for _, r := range d.Rules {
		if r.Regex == "" && matches(r.path, path) && !s.allowed() {
			if err := f(Found{Rule: r.ID, Description: r.Description, Line: 1}); err != nil {
				return err
			}
		}
	}
	if err := s.read(text); !errors.Is(err, errAllowed) {
		return err
	}
	return nil
}

// errAllowed ends a search in a file in which nothing counts.
var errAllowed = errors.New("nothing in a file at this path counts")

type search struct {
	*document
	path  string
	found func(Found) error
	n     int
	// allowed reports whether nothing in the file counts, by its path. It is asked when
	// a keyword was found, or the file is long: the 25 expressions take 50 µs, longer
	// than all else that is done with a small file, and most have no keyword.
	allowed func() bool
	// seen are the last findings, of those in the overlap of two chunks.
	seen []Found
}

// buffers are of chunkSize bytes. They are used again: ten thousand small files would
// leave more than a gigabyte of them to collect.
var buffers = sync.Pool{New: func() any { return new([chunkSize]byte) }}

func (s *search) read(r io.Reader) error {
	pooled := buffers.Get().(*[chunkSize]byte)
	defer buffers.Put(pooled)
	buffer := pooled[:]
	var kept int
	var offset int64 // of the chunk
	line := 1
	for {
		n, err := io.ReadFull(r, buffer[kept:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		chunk := buffer[:kept+n]
		if err := s.chunk(string(chunk), offset, line); err != nil || last {
			return err
		}
		if s.allowed() { // before more is read in vain
			return errAllowed
		}
		step := len(chunk) - overlap
		line += bytes.Count(chunk[:step], []byte("\n"))
		kept = copy(buffer, chunk[step:])
		offset += int64(step)
	}
}

func (s *search) chunk(text string, offset int64, line int) error {
	lower := strings.ToLower(text)
	if len(lower) != len(text) {
		lower = asciiLower(text)
	}
	for _, r := range s.Rules {
		if r.Regex == "" || !r.near(lower) || r.Path != "" && !matches(r.path, s.path) {
			continue
		}
		if s.allowed() {
			return errAllowed
		}
		if slices.ContainsFunc(r.Allowlists, func(a *allowance) bool { return a.allowsPath(s.path) }) {
			continue
		}
		for _, m := range r.regex().FindAllStringSubmatchIndex(text, maxFound) {
			at, secret, ok := s.judge(r, text, m)
			if !ok {
				continue
			}
			f := Found{
				Rule: r.ID, Description: r.Description, Offset: offset + int64(at), Length: len(secret),
				Line: line + strings.Count(text[:at], "\n"),
			}
			if err := s.tell(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// asciiLower is for text whose lower case has another length, so that it can be
// compared with keywords all the same.
func asciiLower(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// tell reports what the chunk before has not reported.
func (s *search) tell(f Found) error {
	same := func(g Found) bool {
		// What a rule of its own has found is no guess any more.
		overlaps := g.Offset < f.Offset+int64(f.Length) && f.Offset < g.Offset+int64(g.Length)
		return g.Rule == f.Rule && g.Offset == f.Offset || f.Rule == Generic && overlaps
	}
	if s.n >= maxFound || slices.ContainsFunc(s.seen, same) {
		return nil
	}
	s.n++
	s.seen = append(s.seen, f)
	if len(s.seen) > 64 {
		s.seen = s.seen[1:]
	}
	return s.found(f)
}

func (r *rule) near(lower string) bool {
	return len(r.Keywords) == 0 || slices.ContainsFunc(r.Keywords, func(k string) bool { return strings.Contains(lower, k) })
}

// judge returns where the secret of a match is, and whether it is one.
func (s *search) judge(r *rule, text string, m []int) (at int, secret string, ok bool) {
	begin, end := m[0], m[1]
	for end > begin && text[end-1] == '\n' {
		end--
	}
	match := text[begin:end]
	at, secret = begin, match
	for g := 1; g < len(m)/2; g++ {
		if m[2*g] >= 0 && m[2*g] < m[2*g+1] && (r.SecretGroup == 0 || r.SecretGroup == g) {
			at, secret = m[2*g], text[m[2*g]:m[2*g+1]]
			break
		}
	}
	if r.Entropy != 0 && entropy(secret) <= r.Entropy {
		return 0, "", false
	}
	line := lineAround(text, begin, end)
	if s.Allowlist.allows(secret, match, line, s.path) {
		return 0, "", false
	}
	for _, a := range r.Allowlists {
		if a.allows(secret, match, line, s.path) {
			return 0, "", false
		}
	}
	return at, secret, true
}

// lineAround is the line, or the lines, that a match stands in.
func lineAround(text string, begin, end int) string {
	from := strings.LastIndexByte(text[:begin], '\n') + 1
	to := len(text)
	if i := strings.IndexByte(text[end:], '\n'); i >= 0 {
		to = end + i
	}
	return text[from:to]
}

// entropy is Shannon's, in bits for each character.
func entropy(text string) float64 {
	counts := map[rune]int{}
	for _, c := range text {
		counts[c]++
	}
	var bits float64
	for _, n := range counts {
		p := float64(n) / float64(len(text))
		bits -= p * math.Log2(p)
	}
	return bits
}
