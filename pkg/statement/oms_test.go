package statement_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/statement"
)

// The worked example of the OMS notes (signing.md 1.10), whose signature and
// digests were made and checked with the reference implementations.
const (
	examplePayload = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"demo","digest":{"sha256":"87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[{"name":"config.json","digest":"e346432021b04179518d9614f3560ccd71354a4ee101ddcb893d6959a9d6301c","algorithm":"sha256"},{"name":"empty.bin","digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","algorithm":"sha256"},{"name":"model.safetensors","digest":"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c","algorithm":"sha256"},{"name":"model/tok.txt","digest":"9e5e90102c699455e9039ff903284e0689394dd345bb11456706f087984d2eb7","algorithm":"sha256"}],"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false,"ignore_paths":[".git",".gitattributes",".github",".gitignore"]}}}`
	exampleRoot    = "87a077115546378a970eed2a145ca5a294eeb5f2c158ec11b2d16466d31cf02f"
	exampleSum     = "c10db7d0c70d10fcab925c32dd14a897c52b40f8cbda5af0a5f665adf572339b"
	examplePAESum  = "02dcece748a061c98d4e6a1f98a85293634d560f5457f157f5ee645854389521"
	exampleKey     = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBApHltmZNd5ER4mtR5NoiZbe4SkV5G0EiunUQnSx/MZfPEbVsSEhcmSWoChaVr0ryftLrrAsNpxVO2Y8WxZxGA=="
	exampleSig     = "MEUCIQCMKsqmNa2djtT5l0lB0mfmc/BxqcsSGO93TV83g4zcKwIgeRdCKaa2uTaAP46rWMx9jwbfk/xhDr2Oropze0UUO0c="
	shardsRoot     = "8117e81d16099e012355902fb48fe6f475bee495e7d809092964264d80e0d47e"
	// componentRoot is what sorting by path components gives, the trap.
	componentRoot = "0f1ef19283eddad91619f6e6f04832d97906c9632e04c56280ed00b4fb3145e3"
)

var exampleFiles = map[string]string{
	"config.json":       "{\"a\":1}\n",
	"empty.bin":         "",
	"model.safetensors": "weights",
	"model/tok.txt":     "vocab\n",
}

func sum(content string) string {
	s := sha256.Sum256([]byte(content))
	return hex.EncodeToString(s[:])
}

func exampleResources() []statement.Resource {
	var out []statement.Resource
	for name, content := range exampleFiles {
		out = append(out, statement.Resource{Name: name, Digest: sum(content), Algorithm: "sha256"})
	}
	return out
}

func TestNewOMSWritesTheWorkedExample(t *testing.T) {
	t.Parallel()
	o, err := statement.NewOMS("demo", exampleResources(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(examplePayload, string(got)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if len(got) != 870 || sum(string(got)) != exampleSum {
		t.Errorf("payload has %d bytes and SHA-256 %s", len(got), sum(string(got)))
	}
	if o.Root != exampleRoot {
		t.Errorf("root %s", o.Root)
	}
	names := []string{}
	for _, r := range o.Resources {
		names = append(names, r.Name)
	}
	if want := []string{"config.json", "empty.bin", "model.safetensors", "model/tok.txt"}; !slices.Equal(names, want) {
		t.Errorf("order %v, want %v: '.' sorts before '/'", names, want)
	}
}

func TestWorkedExampleSignature(t *testing.T) {
	t.Parallel()
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(artifacttypes.PayloadTypeInToto), artifacttypes.PayloadTypeInToto, len(examplePayload), examplePayload)
	if len(pae) != 913 || sum(pae) != examplePAESum {
		t.Fatalf("PAE has %d bytes and SHA-256 %s", len(pae), sum(pae))
	}
	der, err := base64.StdEncoding.DecodeString(exampleKey)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(exampleSig)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(pae))
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), digest[:], sig) {
		t.Error("the signature of the worked example does not verify")
	}
}

func TestParseOMSReadsWhatNewOMSWrites(t *testing.T) {
	t.Parallel()
	want, err := statement.NewOMS("demo", exampleResources(), []string{"notes", "tmp/cache"})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := want.Payload()
	if err != nil {
		t.Fatal(err)
	}
	got, err := statement.ParseOMS(payload)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// shards is the worked example as ranges of 4 bytes.
func shards(algorithm, shardSize string) string {
	var resources []string
	h := sha256.New()
	for _, name := range []string{"config.json", "model.safetensors", "model/tok.txt"} {
		content := exampleFiles[name]
		for _, r := range statement.Shards(name, int64(len(content)), 4) {
			part := sum(content[r.Start:r.End])
			raw, _ := hex.DecodeString(part)
			h.Write(raw)
			resources = append(resources, fmt.Sprintf(`{"name":%q,"digest":%q,"algorithm":%q}`, r.Name, part, algorithm))
		}
	}
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"demo","digest":{"sha256":%q}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[%s],"serialization":{"method":"shards","hash_type":"sha256","shard_size":%s,"allow_symlinks":false}}}`,
		hex.EncodeToString(h.Sum(nil)), strings.Join(resources, ","), shardSize)
}

func TestParseOMSShards(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"sha256", "sha256-sharded-4"} {
		for _, size := range []string{"4", "4.0", "4e0"} {
			o, err := statement.ParseOMS([]byte(shards(algorithm, size)))
			if err != nil {
				t.Errorf("%s, %s: %v", algorithm, size, err)
				continue
			}
			if o.Root != shardsRoot || o.ShardSize != 4 || len(o.Resources) != 6 {
				t.Errorf("%s, %s: root %s, shard size %d, %d resources", algorithm, size, o.Root, o.ShardSize, len(o.Resources))
			}
			if got := o.File(o.Resources[3]); got != "model.safetensors" || o.Resources[3].Name != "model.safetensors:4:7" {
				t.Errorf("file of %q: %q", o.Resources[3].Name, got)
			}
		}
	}
	o, err := statement.ParseOMS([]byte(shards("sha256", "4")))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := o.Payload()
	if err != nil {
		t.Fatal(err)
	}
	if string(payload) != shards("sha256", "4") {
		t.Errorf("shards are written as %s", payload)
	}
}

// one is an OMS statement of files with the resources and serialization given,
// whose root is computed from the digests found in it.
func one(names []string, serialization string) string {
	h := sha256.New()
	var resources []string
	for _, n := range names {
		d := sha256.Sum256([]byte(n))
		h.Write(d[:])
		resources = append(resources, fmt.Sprintf(`{"name":%q,"digest":"%x","algorithm":"sha256"}`, n, d))
	}
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"%x"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"resources":[%s],"serialization":{%s}}}`,
		h.Sum(nil), strings.Join(resources, ","), serialization)
}

const filesMethod = `"method":"files","hash_type":"sha256","allow_symlinks":false`

func TestParseOMSAccepts(t *testing.T) {
	t.Parallel()
	swapped := strings.Replace(strings.Replace(examplePayload, exampleRoot, componentRoot, 1),
		`{"name":"model.safetensors","digest":"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c","algorithm":"sha256"},{"name":"model/tok.txt","digest":"9e5e90102c699455e9039ff903284e0689394dd345bb11456706f087984d2eb7","algorithm":"sha256"}`,
		`{"name":"model/tok.txt","digest":"9e5e90102c699455e9039ff903284e0689394dd345bb11456706f087984d2eb7","algorithm":"sha256"},{"name":"model.safetensors","digest":"9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c","algorithm":"sha256"}`, 1)
	for name, payload := range map[string]string{
		"Python's order by components":    swapped,
		"a later minor version":           strings.Replace(examplePayload, "signature/v1.0", "signature/v1.7", 1),
		"unknown key in a resource":       strings.Replace(examplePayload, `"name":"empty.bin"`, `"size":0,"name":"empty.bin"`, 1),
		"unknown key in the subject":      strings.Replace(examplePayload, `{"name":"demo"`, `{"uri":"x","name":"demo"`, 1),
		"other digests in the subject":    strings.Replace(examplePayload, `"digest":{"sha256":"87`, `"digest":{"blake2b":"00","sha256":"87`, 1),
		"without ignore_paths":            strings.Replace(examplePayload, `,"ignore_paths":[".git",".gitattributes",".github",".gitignore"]`, "", 1),
		"indented":                        strings.ReplaceAll(examplePayload, ",", ",\n  "),
		"a single file called .":          one([]string{"."}, filesMethod),
		"links":                           one([]string{"a"}, `"method":"files","hash_type":"sha256","allow_symlinks":true`),
		"a colon in a path":               one([]string{"ab:c"}, filesMethod),
		"an ignored path that is no path": one([]string{"a"}, filesMethod+`,"ignore_paths":["/abs","../x","*"]`),
	} {
		if _, err := statement.ParseOMS([]byte(payload)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseOMSRefuses(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) string {
		if !strings.Contains(examplePayload, old) {
			t.Fatalf("the example has no %q", old)
		}
		return strings.Replace(examplePayload, old, with, 1)
	}
	shard := func(old, with string) string {
		s := shards("sha256", "4")
		if !strings.Contains(s, old) {
			t.Fatalf("the shards have no %q", old)
		}
		return strings.Replace(s, old, with, 1)
	}
	const serialization = `"serialization":{"method":"files"`
	rows := map[string]struct{ payload, want string }{
		"nothing":                   {"", "not JSON"},
		"something behind":          {examplePayload + "{}", "not JSON"},
		"an array":                  {"[]", "not an object"},
		"bad UTF-8":                 {replace("demo", "de\xffmo"), "UTF-8"},
		"statement v0.1":            {replace("Statement/v1", "Statement/v0.1"), "_type"},
		"key in another case":       {replace(`"_type"`, `"_Type"`), `"_Type"`},
		"duplicate key":             {replace(`"predicateType":`, `"predicateType":"x","predicateType":`), "twice"},
		"duplicate key in resource": {replace(`"name":"empty.bin"`, `"name":"x","name":"empty.bin"`), "twice"},
		"unknown key":               {replace(`"subject"`, `"x":1,"subject"`), "unknown"},
		"unknown key in predicate":  {replace(`"predicate":{`, `"predicate":{"x":1,`), "unknown"},
		"unknown serialization key": {replace(`"serialization":{`, `"serialization":{"x":1,`), "unknown"},
		"predicate v2":              {replace("signature/v1.0", "signature/v2.0"), "predicateType"},
		"predicate v1.":             {replace("signature/v1.0", "signature/v1."), "predicateType"},
		"predicate v1.01":           {replace("signature/v1.0", "signature/v1.01"), "predicateType"},
		"predicate v1.0/x":          {replace("signature/v1.0", "signature/v1.0/x"), "predicateType"},
		"OMS 0.2":                   {replace("https://model_signing/signature/v1.0", "https://model_signing/Digests/v0.1"), "predicateType"},
		"no subject":                {replace(`"subject":[{"name":"demo","digest":{"sha256":"`+exampleRoot+`"}}]`, `"subject":[]`), "0 subjects"},
		"two subjects":              {replace(`"subject":[`, `"subject":[{"name":"x","digest":{"sha256":"00"}},`), "2 subjects"},
		"subject without name":      {replace(`"name":"demo"`, `"name":""`), "no name"},
		"subject by sha512":         {replace(`{"sha256":"87`, `{"sha512":"87`), "subject"},
		"wrong root":                {replace(exampleRoot, componentRoot), "root digest"},
		"upper case root":           {replace(exampleRoot, strings.ToUpper(exampleRoot)), "lower-case"},
		"upper case digest":         {replace("9e5e", "9E5E"), "lower-case"},
		"short digest":              {replace("9e5e90", "9e5e"), "hexadecimal"},
		"digest as a map":           {replace(`"digest":"9e5e90102c699455e9039ff903284e0689394dd345bb11456706f087984d2eb7"`, `"digest":{}`), "not a string"},
		"algorithm differs":         {replace(`"algorithm":"sha256"`, `"algorithm":"blake3"`), "algorithm"},
		"sharded algorithm":         {replace(`"algorithm":"sha256"`, `"algorithm":"sha256-sharded-4"`), "algorithm"},
		"no resources":              {one(nil, filesMethod), "no resources"},
		"missing resources":         {`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"` + sum("") + `"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{` + filesMethod + `}}}`, "no resources"},
		"no predicate":              {`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"` + sum("") + `"}}],"predicateType":"https://model_signing/signature/v1.0"}`, "no resources"},
		"twice the same name":       {one([]string{"a", "a"}, filesMethod), "twice"},
		". beside others":           {one([]string{".", "a"}, filesMethod), "beside others"},
		"absolute name":             {one([]string{"/etc/passwd"}, filesMethod), "unsafe path"},
		"name with ..":              {one([]string{"../a"}, filesMethod), "unsafe path"},
		"empty name":                {one([]string{""}, filesMethod), "unsafe path"},
		"trailing slash":            {one([]string{"a/"}, filesMethod), "unsafe path"},
		"dot component":             {one([]string{"a/./b"}, filesMethod), "unsafe path"},
		"control character":         {one([]string{"a\x00b"}, filesMethod), "not JSON"},
		"unknown method":            {replace(serialization, `"serialization":{"method":"rows"`), "method"},
		"no method":                 {replace(`"method":"files",`, ""), "method"},
		"unknown hash":              {replace(`"hash_type":"sha256"`, `"hash_type":"md5"`), "hash type"},
		"no allow_symlinks":         {replace(`"allow_symlinks":false,`, ""), "allow_symlinks"},
		"allow_symlinks as text":    {replace(`"allow_symlinks":false`, `"allow_symlinks":"no"`), "true or false"},
		"shard_size with files":     {replace(`"hash_type"`, `"shard_size":4,"hash_type"`), "shard_size"},
		"ignoring everything":       {replace(`".gitignore"]`, `"."]`), "whole model"},
		"ignoring an empty path":    {replace(`".gitignore"]`, `""]`), "whole model"},
		"ignoring ./":               {replace(`".gitignore"]`, `"./"]`), "whole model"},
		"ignoring a/..":             {replace(`".gitignore"]`, `"a/.."]`), "whole model"},
		"shards without size":       {shard(`"shard_size":4,`, ""), "shard_size"},
		"shard size 0":              {shards("sha256", "0"), "positive"},
		"shard size -4":             {shards("sha256", "-4"), "positive"},
		"shard size 4.5":            {shards("sha256", "4.5"), "positive"},
		"shard size 1e30":           {shards("sha256", "1e30"), "positive"},
		"other sharded size":        {shards("sha256-sharded-5", "4"), "algorithm"},
		"shard gap":                 {shard("config.json:4:8", "config.json:5:8"), "gap"},
		"shard overlap":             {shard("config.json:4:8", "config.json:3:7"), "gap"},
		"shard from 1":              {shard("config.json:0:4", "config.json:1:4"), "gap"},
		"shard too long":            {shard("model/tok.txt:4:6", "model/tok.txt:4:9"), "gap"},
		"shard without range":       {shard("model/tok.txt:4:6", "model/tok.txt:4"), "path:start:end"},
		"shard with sign":           {shard("model/tok.txt:4:6", "model/tok.txt:+4:6"), "path:start:end"},
		"shard with zeros":          {shard("model/tok.txt:4:6", "model/tok.txt:04:6"), "path:start:end"},
		"empty shard":               {shard("model/tok.txt:4:6", "model/tok.txt:4:4"), "path:start:end"},
		"shard of nothing":          {shard("model/tok.txt:0:4", ":0:4"), "unsafe path"},
		"shard upwards":             {shard("model/tok.txt:0:4", "../tok.txt:0:4"), "unsafe path"},
		"too deep":                  {replace(`"name":"empty.bin"`, `"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"name":"empty.bin"`), "deep"},
	}
	for name, row := range rows {
		_, err := statement.ParseOMS([]byte(row.payload))
		switch {
		case err == nil:
			t.Errorf("%s: accepted", name)
		case !errors.Is(err, statement.ErrInvalid):
			t.Errorf("%s: %v is no ErrInvalid", name, err)
		case !strings.Contains(err.Error(), row.want):
			t.Errorf("%s: %q does not say %q", name, err, row.want)
		}
	}
}

func TestNewOMSRefuses(t *testing.T) {
	t.Parallel()
	good := statement.Resource{Name: "a", Digest: sum("a"), Algorithm: "sha256"}
	for name, row := range map[string]struct {
		name      string
		resources []statement.Resource
		ignore    []string
	}{
		"no name":                {"", []statement.Resource{good}, nil},
		"no files":               {"m", nil, nil},
		"the same file twice":    {"m", []statement.Resource{good, good}, nil},
		"unsafe path":            {"m", []statement.Resource{{Name: "../a", Digest: sum("a"), Algorithm: "sha256"}}, nil},
		"file called .":          {"m", []statement.Resource{{Name: ".", Digest: sum("a"), Algorithm: "sha256"}}, nil},
		"digest with prefix":     {"m", []statement.Resource{{Name: "a", Digest: "sha256:" + sum("a"), Algorithm: "sha256"}}, nil},
		"other algorithm":        {"m", []statement.Resource{{Name: "a", Digest: sum("a"), Algorithm: "blake3"}}, nil},
		"ignoring a signed file": {"m", []statement.Resource{good}, []string{"a"}},
		"ignoring everything":    {"m", []statement.Resource{good}, []string{"."}},
		"ignoring by wildcard":   {"m", []statement.Resource{good}, []string{"*.log"}},
		"ignoring outside":       {"m", []statement.Resource{good}, []string{"../b"}},
	} {
		if _, err := statement.NewOMS(row.name, row.resources, row.ignore); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that git would keep at the top of a model is signed when it is part of
// it, and then the statement must not ignore it.
func TestNewOMSDoesNotIgnoreWhatItSigns(t *testing.T) {
	t.Parallel()
	o, err := statement.NewOMS("m", []statement.Resource{{Name: ".gitattributes", Digest: sum("a"), Algorithm: "sha256"}}, []string{"model.sig"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".git", ".github", ".gitignore", "model.sig"}, o.IgnorePaths); diff != "" {
		t.Error(diff)
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	ignore := []string{"model.sig", "tmp/", "a/b", "/abs", ""}
	for path, want := range map[string]bool{
		".git": true, ".git/config": true, ".gitignore": true, ".gitattributes": true, ".github/x/y": true,
		".gitmodules": false, ".gitx": false, "sub/.git": false, "sub/.gitignore": false,
		"model.sig": true, "model.sig2": false, "sub/model.sig": false,
		"tmp": true, "tmp/x": true, "tmpx": false,
		"a": false, "a/b": true, "a/b/c": true, "a/bc": false, "abs": false,
	} {
		if got := statement.Ignored(path, ignore); got != want {
			t.Errorf("Ignored(%q) = %t", path, got)
		}
		o := statement.OMS{IgnorePaths: ignore}
		if got := o.Ignored().Hold(path); got != want {
			t.Errorf("the subtrees hold %q: %t", path, got)
		}
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	got := statement.Shards("a:b", 10, 4)
	want := []statement.Range{{"a:b:0:4", 0, 4}, {"a:b:4:8", 4, 8}, {"a:b:8:10", 8, 10}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := statement.Shards("a", 0, 4); len(got) != 0 {
		t.Errorf("an empty file has %v", got)
	}
	if got := statement.Shards("a", 1<<62, 1<<61+1); len(got) != 2 || got[1].End != 1<<62 {
		t.Errorf("large files: %v", got)
	}
	if got := statement.Shards("a", 4, 0); len(got) != 0 {
		t.Errorf("no shard size: %v", got)
	}
}
