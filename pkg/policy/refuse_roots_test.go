package policy_test

import "testing"

func refusedRoots(t *testing.T) map[string]refusal {
	t.Helper()
	replace := changed(t, everything)
	return map[string]refusal{
		"name as number":              {replace("name: site policy", "name: 7"), 2, "text", false},
		"empty name":                  {replace("name: site policy", "name: ' '"), 2, "name is empty", false},
		"roots as mapping":            {replace("trustedRoots:\n  - name: corporate\n    file", "trustedRoots:\n    name: corporate\n    file"), 0, "", false},
		"root without name":           {replace("  - name: corporate\n    file", "  - file"), 5, "a trusted root has no name; write one, such as name: corporate", false},
		"root from nowhere":           {replace("    file: sigstore/trusted_root.json\n", ""), 5, "a trusted root has no file or tuf", false},
		"root from two places":        {replace("    file: sigstore/trusted_root.json\n", "    file: x\n    tuf: public-good\n"), 7, "file and tuf: write only one", false},
		"root by URL":                 {replace("sigstore/trusted_root.json", "https://x.example/trusted_root.json"), 6, "is a URL", true},
		"two roots of a name":         {replace("name: public", "name: corporate"), 8, `the trusted root in line 5 is called "corporate", too`, true},
		"TUF of unknown name":         {replace("tuf: public-good", "tuf: staging"), 9, `tuf "staging" is neither public-good nor the URL`, false},
		"TUF by file":                 {replace("tuf: https://tuf.example/repository", "tuf: file:///srv/tuf"), 12, "neither public-good nor the URL", false},
		"TUF with a blank":            {replace("tuf: https://tuf.example/repository", "tuf: https://tuf.example/a b"), 12, "has a blank in it", false},
		"TUF without root":            {replace("    root: root.json\n", ""), 11, `trusted root "own" has no root`, true},
		"public-good with root":       {replace("tuf: public-good\n", "tuf: public-good\n    root: x.json\n"), 10, "root belongs to the URL", true},
		"file with root":              {replace("trusted_root.json\n", "trusted_root.json\n    root: x.json\n"), 7, "root belongs to the URL", true},
		"maxAge as number":            {replace("maxAge: 90d", "maxAge: 90"), 7, "such as 90d, 12h or 30m", false},
		"maxAge in weeks":             {replace("maxAge: 90d", "maxAge: 3w"), 7, `maxAge "3w" must be a duration`, false},
		"maxAge of nothing":           {replace("maxAge: 90d", "maxAge: 0d"), 7, "must be a duration", false},
		"negative maxAge":             {replace("maxAge: 90d", "maxAge: -1d"), 7, "must be a duration", false},
		"maxAge in parts":             {replace("maxAge: 90d", "maxAge: 1.5d"), 7, "must be a duration", false},
		"maxAge of two units":         {replace("maxAge: 90d", "maxAge: 1d12h"), 7, "must be a duration", false},
		"endless maxAge":              {replace("maxAge: 90d", "maxAge: 999999d"), 7, "must be a duration", false},
		"unknown key in root":         {replace("file: sigstore", "path: sigstore"), 6, `a trusted root has the unknown key "path"; known are name, file, tuf, root, maxAge`, false},
		"remap without from":          {replace("  - from: mirror.example/hub\n    to: registry", "  - to: registry"), 15, "a remap has no from", false},
		"remap without to":            {replace("    to: registry.example.com\n", ""), 15, "a remap has no to", false},
		"remap of everything":         {replace("from: mirror.example/hub", "from: '*'"), 15, "from is *", true},
		"remap to everything":         {replace("to: registry.example.com", "to: '*'"), 16, "to is *", true},
		"remap to a layout":           {replace("to: registry.example.com", "to: oci:/srv"), 16, "what is mirrored is in a registry", true},
		"remap from no host":          {replace("from: mirror.example/hub", "from: hub"), 15, "does not begin with a registry host", true},
		"remap with a slash":          {replace("to: registry.example.com", "to: registry.example.com/"), 16, "to: prefix", true},
		"two remaps of one":           {replace("limits:", "  - from: MIRROR.example/hub\n    to: other.example\nlimits:"), 17, `the remap in line 15 is from "mirror.example/hub", too`, true},
		"empty limits":                {replace("limits:\n  referrers: 200\n  pages: 10\n  bytes: 16MiB", "limits: {}"), 17, "limits is empty; write at least one of", false},
		"limit of nothing":            {replace("referrers: 200", "referrers: 0"), 18, "referrers 0 is not between 1 and 1000", false},
		"limit above modseal's":       {replace("referrers: 200", "referrers: 1001"), 18, "referrers 1001 is not between 1 and 1000", false},
		"pages above modseal's":       {replace("pages: 10", "pages: 101"), 19, "not between 1 and 100", false},
		"bytes above modseal's":       {replace("bytes: 16MiB", "bytes: 65MiB"), 20, "bytes 65MiB is more than modseal's own limit, 67108864", true},
		"bytes above modseal's, bare": {replace("bytes: 16MiB", "bytes: 67108865"), 20, "more than modseal's own limit", false},
		"bytes beyond all numbers":    {replace("bytes: 16MiB", "bytes: 999999999999GiB"), 20, "more than modseal's own limit", true},
		"bytes of nothing":            {replace("bytes: 16MiB", "bytes: 0"), 20, "must be a number of bytes", false},
		"bytes in another unit":       {replace("bytes: 16MiB", "bytes: 16MB"), 20, `bytes "16MB" must be a number of bytes, such as 16MiB`, false},
		"bytes in parts":              {replace("bytes: 16MiB", "bytes: 1.5"), 20, "must be a number of bytes", false},
		"unknown limit":               {replace("pages: 10", "depth: 10"), 19, `unknown key "depth"`, false},
	}
}
