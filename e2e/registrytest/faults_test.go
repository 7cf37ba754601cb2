package registrytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/e2e/registrytest"
)

// bed is a registry with one blob and a client that hides nothing.
type bed struct {
	*registrytest.Registry
	t    *testing.T
	blob []byte
	d    digest.Digest
}

func newBed(t *testing.T) *bed {
	t.Helper()
	r, err := registrytest.Start(registrytest.Olareg, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bed{Registry: r, t: t, blob: make([]byte, 100_000)}
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b.blob)
	b.d = digest.FromBytes(b.blob)
	got := b.steps("POST", "PUT 0-100000 digest")
	if got != "POST 202, PUT 201" {
		t.Fatalf("the upload of the blob: %s", got)
	}
	r.Reset()
	return b
}

// answer is what came back, as much of it as came.
type answer struct {
	status int
	head   http.Header
	body   []byte
	err    error
}

func (b *bed) do(method, address string, body []byte, head ...string) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = "http://" + b.Host + address
	}
	req, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, content, err}
}

// get fetches bytes of the blob; an empty span is all of it.
func (b *bed) get(span string, head ...string) answer {
	b.t.Helper()
	if span != "" {
		head = append(head, "Range", "bytes="+span)
	}
	return b.do("GET", "/v2/team/model/blobs/"+b.d.String(), nil, head...)
}

// steps does an upload: "POST", "GET", and "PATCH 0-1000" or "PUT 0-1000" with
// bytes of the blob ("PATCH @0-1000" says which in a Content-Range, "digest" ends
// the upload). It always follows the newest Location, and returns the outcomes.
func (b *bed) steps(steps ...string) string {
	b.t.Helper()
	var outcomes []string
	location := "/v2/team/model/blobs/uploads/"
	for _, step := range steps {
		words := strings.Fields(step)
		var body []byte
		var head []string
		address := location
		for _, word := range words[1:] {
			if word == "digest" {
				u, err := url.Parse(address)
				if err != nil {
					b.t.Fatal(err)
				}
				q := u.Query()
				q.Set("digest", b.d.String())
				u.RawQuery = q.Encode()
				address = u.String()
				continue
			}
			var from, to int
			if _, err := fmt.Sscanf(strings.TrimPrefix(word, "@"), "%d-%d", &from, &to); err != nil {
				b.t.Fatal(err)
			}
			body = b.blob[from:to]
			if strings.HasPrefix(word, "@") {
				head = append(head, "Content-Range", fmt.Sprintf("%d-%d", from, to-1))
			}
		}
		a := b.do(words[0], address, body, head...)
		outcome := words[0] + " cut"
		if a.err == nil {
			outcome = fmt.Sprintf("%s %d", words[0], a.status)
			if next := a.head.Get("Location"); next != "" && a.status != http.StatusCreated {
				location = next
			}
			if words[0] == "GET" && a.status < 300 {
				outcome += " " + a.head.Get("Range")
			}
		}
		outcomes = append(outcomes, outcome)
	}
	return strings.Join(outcomes, ", ")
}

// Each fault of uploads does to a client that follows the specification what it
// is for, and nothing else.
func TestUploadFaults(t *testing.T) {
	whole := []string{"POST", "PATCH 0-60000", "PATCH 60000-100000", "PUT digest"}
	chunks := []string{"POST", "PATCH @0-60000", "PATCH @60000-100000", "PUT digest"}
	tests := []struct {
		name  string
		set   func(b *bed)
		steps []string
		want  string
	}{
		{"none", func(*bed) {}, chunks, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{
			"cut and kept", func(b *bed) { b.CutUpload(7000, 1, registrytest.Kept) },
			[]string{"POST", "PATCH 0-60000", "GET", "PATCH @7000-100000", "PUT digest"},
			"POST 202, PATCH cut, GET 204 0-6999, PATCH 202, PUT 201",
		},
		{
			"cut and gone", func(b *bed) { b.CutUpload(7000, 1, registrytest.Gone) },
			[]string{"POST", "PATCH 0-60000", "GET"},
			"POST 202, PATCH cut, GET 404",
		},
		{"no status", func(b *bed) { b.NoStatus() }, []string{"POST", "GET", "PUT 0-100000 digest"}, "POST 202, GET 404, PUT 201"},
		{"empty status", func(b *bed) { b.EmptyStatus() }, []string{"POST", "GET", "PATCH 0-10", "GET"}, "POST 202, GET 204 0-0, PATCH 202, GET 204 0-9"},
		{
			"moving offset", func(b *bed) { b.MovingOffset(100, 2) },
			[]string{"POST", "PATCH 0-1000", "GET", "GET", "GET", "GET"},
			"POST 202, PATCH 202, GET 204 0-799, GET 204 0-899, GET 204 0-999, GET 204 0-999",
		},
		{"fresh locations", func(b *bed) { b.FreshLocations() }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"relative", func(b *bed) { b.check(b.Locations("relative")) }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"absolute", func(b *bed) { b.check(b.Locations("absolute")) }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"other host", func(b *bed) { b.check(b.Locations("other-host")) }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"content range ignored", func(b *bed) { b.IgnoreContentRange() }, []string{"POST", "PATCH @60000-100000", "GET"}, "POST 202, PATCH 202, GET 204 0-39999"},
		{"content range not ignored", func(*bed) {}, []string{"POST", "PATCH @60000-100000"}, "POST 202, PATCH 416"},
		{"chunk minimum kept", func(b *bed) { b.ChunkMin(60000) }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"chunk minimum not kept", func(b *bed) { b.ChunkMin(60001) }, whole, "POST 202, PATCH 202, PATCH 400, PUT 400"},
		{"lost close", func(b *bed) { b.LoseClose(504, 1) }, []string{"POST", "PUT 0-100000 digest"}, "POST 202, PUT 504"},
		{"ecr", func(b *bed) { b.check(b.Quirk("ecr")) }, whole, "POST 202, PATCH 202, PATCH 201, PUT 400"},
		{"ecr, one patch", func(b *bed) { b.check(b.Quirk("ecr")) }, []string{"POST", "PATCH 0-100000", "PUT digest"}, "POST 202, PATCH 202, PUT 201"},
		{"ghcr", func(b *bed) { b.check(b.Quirk("ghcr")) }, chunks, "POST 202, PATCH 202, PATCH 202, PUT 201"},
		{"gar", func(b *bed) { b.check(b.Quirk("gar")) }, whole, "POST 202, PATCH 405, PATCH 405, PUT 400"},
		{"gar, one put", func(b *bed) { b.check(b.Quirk("gar")) }, []string{"POST", "PUT 0-100000 digest"}, "POST 202, PUT 201"},
		{"acr", func(b *bed) { b.check(b.Quirk("acr")) }, whole, "POST 202, PATCH 202, PATCH 202, PUT 201"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			test.set(b)
			if got := b.steps(test.steps...); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			b.Heal()
			if got := b.get(""); !bytes.Equal(got.body, b.blob) {
				t.Errorf("the blob is not what it was: status %d, %d bytes", got.status, len(got.body))
			}
		})
	}
}

func (b *bed) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// A closing request that is said to have failed did its work; and bodies that a
// hosted registry would refuse are refused by size.
func TestUploadFaultsBySize(t *testing.T) {
	b := newBed(t)
	large := make([]byte, 20_000_001)
	post := func() string { return b.do("POST", "/v2/team/model/blobs/uploads/", nil).head.Get("Location") }
	b.check(b.Quirk("acr"))
	if a := b.do("PUT", post()+"&digest="+digest.FromBytes(large).String(), large); a.status != http.StatusRequestEntityTooLarge && a.err == nil {
		t.Errorf("acr: a PUT of 20,000,001 bytes: %d", a.status)
	}
	b.Heal()
	b.check(b.Quirk("ghcr"))
	if a := b.do("PATCH", post(), large[:4<<20+1], "Content-Range", fmt.Sprintf("0-%d", 4<<20)); a.status != http.StatusRequestedRangeNotSatisfiable && a.err == nil {
		t.Errorf("ghcr: a chunk of more than 4 MiB: %d", a.status)
	}
	if a := b.do("PATCH", post(), large[:4<<20+1]); a.status != http.StatusAccepted {
		t.Errorf("ghcr: a stream of more than 4 MiB: %d", a.status)
	}
	b.Heal()
	b.LoseClose(504, 0)
	d := digest.FromString("lost")
	b.do("PUT", post()+"&digest="+d.String(), []byte("lost"))
	if a := b.do("HEAD", "/v2/team/model/blobs/"+d.String(), nil); a.status != http.StatusOK {
		t.Errorf("what a lost close was for is not there: %d", a.status)
	}
	b.Heal()
	mount := "/v2/team/other/blobs/uploads/?mount=" + b.d.String() + "&from=team/model"
	b.Mount(202)
	if a := b.do("POST", mount, nil); a.status != http.StatusAccepted || a.head.Get("Location") == "" {
		t.Errorf("a mount answered with 202: %d, Location %q", a.status, a.head.Get("Location"))
	}
	b.Heal()
	b.Mount(403)
	if a := b.do("POST", mount, nil); a.status != http.StatusForbidden {
		t.Errorf("a mount answered with 403: %d", a.status)
	}
	b.Heal()
	if a := b.do("POST", mount, nil); a.status != http.StatusCreated {
		t.Errorf("a mount: %d", a.status)
	}
	b.FreshLocations()
	first := post()
	b.do("PATCH", first, []byte("a"))
	if a := b.do("PATCH", first, []byte("b")); a.status != http.StatusNotFound {
		t.Errorf("an old Location: %d", a.status)
	}
}

// Each fault of downloads does what it is for.
func TestDownloadFaults(t *testing.T) {
	const first, last = 1000, 1999
	span := fmt.Sprintf("%d-%d", first, last)
	right := func(b *bed, a answer) bool { return a.status == 206 && bytes.Equal(a.body, b.blob[first:last+1]) }
	contentRange := func(a answer) string { return a.head.Get("Content-Range") }
	tests := []struct {
		name string
		set  func(b *bed)
		ok   func(b *bed, a answer) bool
	}{
		{"none", func(*bed) {}, right},
		{"flip", func(b *bed) { b.FlipByte(b.d, 1500, 0, true) }, func(b *bed, a answer) bool {
			plain := b.get("")
			a.body[500] ^= 1
			return right(b, a) && bytes.Equal(plain.body, b.blob)
		}},
		{"flip elsewhere", func(b *bed) { b.FlipByte(b.d, 2000, 0, false) }, right},
		{"cut", func(b *bed) { b.Cut(b.d, 10, 1) }, func(b *bed, a answer) bool {
			return a.err != nil && bytes.Equal(a.body, b.blob[first:first+10]) && right(b, b.get(span))
		}},
		{"ignored", ranges(registrytest.RangeIgnored), func(b *bed, a answer) bool { return a.status == 200 && bytes.Equal(a.body, b.blob) }},
		{"shifted", ranges(registrytest.RangeShifted), func(b *bed, a answer) bool {
			return a.status == 206 && bytes.Equal(a.body[:999], b.blob[first+1:last+1]) && contentRange(a) == "bytes 1000-1999/100000"
		}},
		{"short", ranges(registrytest.RangeShort), func(b *bed, a answer) bool {
			return bytes.Equal(a.body, b.blob[first:first+500]) && contentRange(a) == "bytes 1000-1499/100000"
		}},
		{"truncated", ranges(registrytest.RangeTruncated), func(b *bed, a answer) bool {
			return bytes.Equal(a.body, b.blob[first:first+500]) && contentRange(a) == "bytes 1000-1999/100000"
		}},
		{"long", ranges(registrytest.RangeLong), func(_ *bed, a answer) bool { return len(a.body) == 2000 && contentRange(a) == "bytes 1000-1999/100000" }},
		{"bare", ranges(registrytest.RangeBare), func(b *bed, a answer) bool { return right(b, a) && contentRange(a) == "" }},
		{"elsewhere", ranges(registrytest.RangeElsewhere), func(b *bed, a answer) bool { return right(b, a) && contentRange(a) == "bytes 1001-2000/100000" }},
		{"other size", ranges(registrytest.RangeOther), func(b *bed, a answer) bool { return right(b, a) && contentRange(a) == "bytes 1000-1999/100001" }},
		{"refused", ranges(registrytest.RangeRefused), func(b *bed, a answer) bool { return a.status == 416 && b.get("").status == 200 }},
		{"unannounced", ranges(registrytest.RangeUnannounced), func(b *bed, a answer) bool { return right(b, a) && a.head.Get("Accept-Ranges") == "" }},
		{"cold", func(b *bed) { b.ColdCache(b.d, time.Millisecond) }, func(b *bed, a answer) bool {
			return a.status == 200 && bytes.Equal(a.body, b.blob) && right(b, b.get(span))
		}},
		{"gzip, not asked", func(b *bed) { b.Gzip(b.d, false) }, right},
		{"gzip, always", func(b *bed) { b.Gzip(b.d, true) }, func(b *bed, a answer) bool {
			return a.head.Get("Content-Encoding") == "gzip" && !bytes.Equal(a.body, b.blob[first:last+1])
		}},
		{"digest", func(b *bed) { b.LieAboutDigest(b.d) }, func(b *bed, a answer) bool {
			return right(b, a) && a.head.Get("Docker-Content-Digest") != b.d.String()
		}},
		{"redirect", func(b *bed) { b.Redirect(b.d, 0, 0) }, func(b *bed, a answer) bool {
			return right(b, a) && b.Count("redirects") == 1 && b.Count("leaked-credentials") == 0 && b.Count("blob-ranges") == 1
		}},
		{"redirect twice", func(b *bed) { b.Redirect(b.d, 0, 0); b.FlipByte(b.d, 1500, 0, false) }, func(b *bed, a answer) bool {
			a.body[500] ^= 1
			return right(b, a)
		}},
		{"status", func(b *bed) { b.Status("GET", regexp.MustCompile("/blobs/"), 429, 1, "date+2s") }, func(b *bed, a answer) bool {
			at, err := http.ParseTime(a.head.Get("Retry-After"))
			return a.status == 429 && err == nil && time.Until(at) < 3*time.Second && right(b, b.get(span))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBed(t)
			test.set(b)
			if a := b.get(span); !test.ok(b, a) {
				t.Errorf("got status %d, %d bytes, %v, error %v\n%s", a.status, len(a.body), a.head, a.err, strings.Join(b.Log(), "\n"))
			}
		})
	}
}

func ranges(how registrytest.RangeFault) func(b *bed) {
	return func(b *bed) { b.check(b.BreakRanges(how, b.d, 0)) }
}

// An address to which the registry redirects expires by the registry's clock,
// and what is sent there with credentials is refused and counted.
func TestRedirectExpires(t *testing.T) {
	b := newBed(t)
	b.Redirect(b.d, 3000, 1)
	req, err := http.NewRequest("GET", "http://"+b.Host+"/v2/team/model/blobs/"+b.d.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	address := resp.Header.Get("Location")
	if a := b.do("GET", address, nil, "Authorization", "Basic eDp5"); a.status != http.StatusBadRequest {
		t.Errorf("credentials elsewhere: %d", a.status)
	}
	if n := b.Count("leaked-credentials"); n != 1 {
		t.Errorf("%d requests leaked credentials, not 1", n)
	}
	if a := b.do("GET", address, nil); a.err == nil || !bytes.Equal(a.body, b.blob[:3000]) {
		t.Errorf("status %d, %d bytes, error %v, not 3000 bytes and a cut", a.status, len(a.body), a.err)
	}
	if a := b.do("GET", address, nil); a.status != http.StatusForbidden {
		t.Errorf("the address has not expired: %d", a.status)
	}
	if a := b.get(""); !bytes.Equal(a.body, b.blob) {
		t.Errorf("a new address: status %d, %d bytes", a.status, len(a.body))
	}
}

// Tokens are for those with the password, and expire when so many bytes passed.
func TestTokens(t *testing.T) {
	b := newBed(t)
	b.SetClock(func() time.Time { return time.Unix(1_000_000_000, 0) }) // nothing but Advance moves it
	b.RequireToken("u", "p")
	if a := b.get(""); a.status != 401 || !strings.HasPrefix(a.head.Get("WWW-Authenticate"), "Bearer realm=") {
		t.Fatalf("without a token: %d, %q", a.status, a.head.Get("WWW-Authenticate"))
	}
	if a := b.do("GET", "/token", nil); a.status != 401 {
		t.Errorf("a token without a password: %d", a.status)
	}
	a := b.do("GET", "/token", nil, "Authorization", "Basic dTpw")
	token := regexp.MustCompile(`"token":"(\w+)"`).FindSubmatch(a.body)
	if token == nil {
		t.Fatalf("%d %s", a.status, a.body)
	}
	auth := []string{"Authorization", "Bearer " + string(token[1])}
	b.ExpireTokens(registrytest.Down, 150_000, 1)
	if a := b.get("", auth...); a.status != 200 {
		t.Errorf("with a token: %d", a.status)
	}
	if a := b.get("", auth...); a.status != 200 || len(a.body) != len(b.blob) {
		t.Errorf("a token that expires on the way: %d, %d bytes", a.status, len(a.body))
	}
	if a := b.get("", auth...); a.status != 401 {
		t.Errorf("a token that has expired: %d", a.status)
	}
}

// A stalled answer goes on for as long as the client stays, without a byte.
func TestStall(t *testing.T) {
	b := newBed(t)
	b.Stall(b.d, 1234, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+b.Host+"/v2/team/model/blobs/"+b.d.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	start := make([]byte, 1234)
	if _, err := io.ReadFull(resp.Body, start); err != nil || !bytes.Equal(start, b.blob[:1234]) {
		t.Fatalf("the first 1234 bytes: %v", err)
	}
	if n := b.Active(); n != 1 {
		t.Errorf("%d requests are being answered, not 1", n)
	}
	cancel()
	if n, err := resp.Body.Read(start); n > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes more, error %v", n, err)
	}
	b.Log() // waits for what is being answered
	if n := b.Active(); n != 0 {
		t.Errorf("%d requests are still being answered", n)
	}
	if a := b.get(""); !bytes.Equal(a.body, b.blob) {
		t.Errorf("it does not end after its times: status %d, %d bytes", a.status, len(a.body))
	}
}

// A rate is that of each connection: what is sent over one takes at least as long
// as it should.
func TestThrottle(t *testing.T) {
	b := newBed(t)
	b.Throttle(1_000_000)
	start := time.Now()
	if a := b.get(""); !bytes.Equal(a.body, b.blob) {
		t.Errorf("status %d, %d bytes", a.status, len(a.body))
	}
	if took := time.Since(start); took < 90*time.Millisecond {
		t.Errorf("100,000 bytes at 1 MB/s took %v", took)
	}
}

// A gate lets exactly so many bytes pass, and what is held is cut in the end; the
// registry keeps what passed.
func TestGate(t *testing.T) {
	b := newBed(t)
	reached := b.StopAfter(registrytest.Down, 1234)
	done := make(chan answer)
	go func() { done <- b.get("") }()
	<-reached
	b.Continue()
	if a := <-done; a.err == nil || !bytes.Equal(a.body, b.blob[:1234]) {
		t.Errorf("%d bytes, error %v, not 1234 and a cut", len(a.body), a.err)
	}

	reached = b.StopAfter(registrytest.Up, 1234)
	outcome := make(chan string)
	go func() { outcome <- b.steps("POST", "PATCH 0-100000", "GET") }()
	<-reached
	b.Continue()
	if got := <-outcome; got != "POST 202, PATCH cut, GET 204 0-1233" {
		t.Error(got)
	}
	if got := b.Count("blob-upload-bytes"); got != 1234 {
		t.Errorf("%d bytes went up, not 1234", got)
	}
	if n, err := b.OpenSessions(); n != 1 || err != nil {
		t.Errorf("%d open uploads, not 1 (%v)", n, err)
	}
	if n := b.Active(); n != 0 {
		t.Errorf("%d requests are still being answered", n)
	}
}
