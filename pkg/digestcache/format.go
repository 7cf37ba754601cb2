package digestcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// The file is lines of words: what of 20,000 files is read in 10 ms, and JSON is
// not. The first names the version; another one is another format.
//
//	modseal digests 1
//	f IDENTITY HEX DAY
//	r HOST REPOSITORY HEX DAY
//	sum HEX                      SHA-256 of all lines before
const header = "modseal digests 1\n"

var errFormat = errors.New("not a cache of digests of this version")

// isToken holds for text that can be a word of the file.
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsAny(s, " \n") && strings.IndexFunc(s, func(r rune) bool { return r < ' ' }) < 0
}

const maxToken = 512

func (d *digests) encode() []byte {
	var b bytes.Buffer
	b.Grow(len(header) + 160*len(d.files) + 160*len(d.places))
	b.WriteString(header)
	for _, identity := range slices.Sorted(maps.Keys(d.files)) {
		e := d.files[identity]
		line(&b, "f", identity, e.digest.Encoded(), strconv.FormatInt(e.day, 10))
	}
	places := slices.SortedFunc(maps.Keys(d.places), func(a, b place) int {
		return strings.Compare(a.host+" "+a.digest.String(), b.host+" "+b.digest.String())
	})
	for _, at := range places {
		for _, s := range d.places[at] {
			line(&b, "r", at.host, s.repository, at.digest.Encoded(), strconv.FormatInt(s.day, 10))
		}
	}
	sum := sha256.Sum256(b.Bytes())
	line(&b, "sum", hex.EncodeToString(sum[:]))
	return b.Bytes()
}

func line(b *bytes.Buffer, words ...string) {
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	b.WriteByte('\n')
}

func decode(raw []byte) (digests, error) {
	body, ok := checked(raw)
	if !ok {
		return digests{}, errFormat
	}
	d := newDigests()
	for rest := string(body[len(header):]); rest != ""; {
		var text string
		text, rest, ok = strings.Cut(rest, "\n")
		if !ok || len(d.files)+len(d.places) > 2*limits.DigestCacheEntries || !d.add(strings.Split(text, " ")) {
			return digests{}, errFormat
		}
	}
	return d, nil
}

// checked returns what the sum at the end is of.
func checked(raw []byte) ([]byte, bool) {
	const tail = len("sum ") + 2*sha256.Size + 1
	if len(raw) < len(header)+tail || !bytes.HasPrefix(raw, []byte(header)) {
		return nil, false
	}
	body, end := raw[:len(raw)-tail], raw[len(raw)-tail:]
	sum := sha256.Sum256(body)
	return body, string(end) == "sum "+hex.EncodeToString(sum[:])+"\n"
}

func (d *digests) add(words []string) bool {
	last := len(words) - 1
	if last < 2 {
		return false
	}
	day, err := strconv.ParseInt(words[last], 10, 64)
	sum := digest.NewDigestFromEncoded(digest.SHA256, words[last-1])
	if err != nil || artifacttypes.ValidateDigest(sum) != nil {
		return false
	}
	switch {
	case words[0] == "f" && last == 3 && isToken(words[1]):
		d.files[words[1]] = entry{sum, day}
	case words[0] == "r" && last == 4 && isToken(words[1]) && isToken(words[2]):
		d.see(place{words[1], sum}, seen{words[2], day})
	default:
		return false
	}
	return true
}
