//go:build linux

package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A place is where a command line of a tool works. Home is a new directory for
// every tool and every beginning, so that no tool finds what another has left.
type place struct {
	program string // the tool
	host    string // of the registry, or of the proxy before it
	ref     string // what is pushed, pulled or copied
	to      string // where it is copied to, a reference
	model   model  // what is pushed
	out     string // where files are pulled to
	aux     string // what the tool's preparation made for this model
	keys    string // directory of modseal's key pair
	home    string // of the user
}

// archive is the file that models are saved into and loaded from.
func (p place) archive() string { return filepath.Join(p.out, "archive.tar") }

// A tool is a program and the command lines that its users type for each work.
// A work without a command line is one that it cannot do; no has the reason.
type tool struct {
	name    string // as the tables call it
	program string
	version []string // arguments that print it
	// prepare makes in p.aux what the tool wants to have for a model, once and
	// before anything is measured.
	prepare func(p place) [][]string
	lines   map[work]func(p place) [][]string
	no      map[work]string
	foreign bool // it pulls what modseal has pushed, as it pushes no files itself
	note    string
}

func (t tool) does(w work) bool { return t.lines[w] != nil }

// one makes a single command line.
func one(args ...string) [][]string { return [][]string{args} }

const (
	noFiles  = "it pushes images, not files"
	noLayout = "it writes an OCI layout, not files"
	noMemory = "it remembers nothing, so that it sends everything again"
	perFile  = "the floor moves file by file, which is not the least for small ones"
	noCopy   = "it has no copy from registry to registry"

	noArchive   = "it has no archives"
	noArtifacts = "its tarballs are Docker images, not artifacts"
)

// tools are all that there are, modseal first and the floor last.
func tools(self, modseal string) []tool {
	return []tool{
		{
			name: "modseal", program: modseal, version: []string{"version"},
			note: "signs with a key at each push and verifies that signature before each pull; no other tool here signs or verifies",
			lines: map[work]func(p place) [][]string{
				push: modsealPush, repush: modsealPush, changed: modsealPush, smallPush: modsealPush, hugePush: modsealPush,
				pull: modsealPull, smallPull: modsealPull, hugePull: modsealPull,
				copying: func(p place) [][]string { return one(p.program, "copy", p.ref, p.to) },
				verifyOnly: func(p place) [][]string {
					return one(p.program, "verify", p.ref, "--key", filepath.Join(p.keys, "bench.pub"))
				},
				pullUnverified: func(p place) [][]string { return one(p.program, "pull", p.ref, "-o", p.out, "--no-verify") },
				saving: func(p place) [][]string {
					return one(p.program, "save", p.ref, "-o", p.archive(), "--key", filepath.Join(p.keys, "bench.pub"))
				},
				loading: func(p place) [][]string {
					return one(p.program, "load", p.archive(), p.to, "--key", filepath.Join(p.keys, "bench.pub"))
				},
			},
		},
		{
			name: "oras", program: "oras", version: []string{"version"},
			note: "cp -r, backup --include-referrers and restore, which compare no digests of what is in an archive",
			lines: withArchives(everyPushAndPull(
				func(p place) [][]string {
					return one(append([]string{p.program, "push", "--plain-http", p.ref}, p.model.files...)...)
				},
				func(p place) [][]string { return one(p.program, "pull", "--plain-http", p.ref, "-o", p.out) },
				func(p place) [][]string {
					return one(p.program, "cp", "-r", "--from-plain-http", "--to-plain-http", p.ref, p.to)
				}),
				func(p place) [][]string {
					return one(p.program, "backup", "--plain-http", "--include-referrers", "--output", p.archive(), p.ref)
				},
				func(p place) [][]string {
					return one(p.program, "restore", "--plain-http", "--input", p.archive(), p.to)
				},
			),
		},
		{
			name: "modctl", program: "modctl", version: []string{"version"},
			note: "build into its own storage, then push; pull into that storage, then extract (with --extract-from-remote it compares no digests)",
			prepare: func(p place) [][]string {
				if len(p.model.files) > modctlMost || !hasWeights(p.model) {
					return one(append([]string{"sh", "-c", `printf '%s\n' "$@" >Modelfile`, "sh"}, modelfile(p.model)...)...)
				}
				return one(modctl(p, "modelfile", "generate", p.model.dir, "--output", p.aux)...)
			},
			lines: everyPushAndPull(
				func(p place) [][]string {
					return [][]string{
						modctl(p, "build", "-t", p.ref, "-f", filepath.Join(p.aux, "Modelfile"), p.model.dir),
						modctl(p, "push", "--plain-http", p.ref),
					}
				},
				func(p place) [][]string {
					return one(modctl(p, "pull", "--plain-http", p.ref, "--extract-dir", p.out)...)
				},
				nil,
			),
			no: map[work]string{copying: noCopy, saving: noArchive, loading: noArchive},
		},
		{
			name: "kit", program: "kit", version: []string{"version"},
			note: "pack into its own storage, then push; pull into that storage, then unpack (unpack straight from a registry compares no digests)",
			prepare: func(p place) [][]string {
				return [][]string{
					{p.program, "init", p.model.dir, "--name", "bench", "--desc", "bench", "--author", "bench"},
					{"mv", filepath.Join(p.model.dir, "Kitfile"), p.aux},
				}
			},
			lines: everyPushAndPull(
				func(p place) [][]string {
					return [][]string{
						{p.program, "pack", p.model.dir, "-f", filepath.Join(p.aux, "Kitfile"), "-t", p.ref},
						{p.program, "push", "--plain-http", p.ref},
					}
				},
				func(p place) [][]string {
					return [][]string{
						{p.program, "pull", "--plain-http", p.ref},
						{p.program, "unpack", p.ref, "-d", p.out},
					}
				},
				nil,
			),
			no: map[work]string{copying: noCopy, saving: noArchive, loading: noArchive},
		},
		{
			name: "regctl", program: "regctl", version: []string{"version", "--format", "{{.VCSTag}}"},
			note: "artifact put and artifact get; image copy --referrers; image export and import, which take no signatures along",
			lines: withArchives(everyPushAndPull(
				func(p place) [][]string {
					args := regctl(p, "artifact", "put", "--artifact-type", "application/vnd.modseal.bench", "--file-title")
					for _, name := range p.model.files {
						args = append(args, "-m", "application/octet-stream", "-f", name)
					}
					return one(append(args, p.ref)...)
				},
				func(p place) [][]string { return one(regctl(p, "artifact", "get", "-o", p.out, p.ref)...) },
				func(p place) [][]string { return one(regctl(p, "image", "copy", "--referrers", p.ref, p.to)...) }),
				func(p place) [][]string { return one(regctl(p, "image", "export", p.ref, p.archive())...) },
				func(p place) [][]string { return one(regctl(p, "image", "import", p.to, p.archive())...) },
			),
		},
		{
			name: "crane", program: "crane", version: []string{"version"}, foreign: true,
			note: "pull writes an OCI layout of what modseal has pushed, not files; copy takes no signatures along",
			lines: map[work]func(p place) [][]string{
				pull:    func(p place) [][]string { return one(p.program, "pull", "--format=oci", p.ref, p.out) },
				copying: func(p place) [][]string { return one(p.program, "copy", p.ref, p.to) },
			},
			no: map[work]string{push: noFiles, repush: noFiles, changed: noFiles, smallPush: noFiles, hugePull: noLayout, smallPull: noLayout, saving: noArtifacts, loading: noArtifacts},
		},
		{
			name: "skopeo", program: "skopeo", version: []string{"--version"}, foreign: true,
			note: "copy to an OCI layout of what modseal has pushed, not to files; copy and oci-archive take no signatures along",
			lines: map[work]func(p place) [][]string{
				pull: skopeoPull,
				copying: func(p place) [][]string {
					return one(p.program, "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
						"docker://"+p.ref, "docker://"+p.to)
				},
				saving: func(p place) [][]string {
					return one(p.program, "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+p.ref, "oci-archive:"+p.archive()+":bench")
				},
				loading: func(p place) [][]string {
					return one(p.program, "--insecure-policy", "copy", "--dest-tls-verify=false", "oci-archive:"+p.archive()+":bench", "docker://"+p.to)
				},
			},
			no: map[work]string{push: noFiles, repush: noFiles, changed: noFiles, smallPush: noFiles, hugePull: noLayout, smallPull: noLayout},
		},
		{
			name: floorName, program: self,
			note: "the least code that does the work and hashes every byte: no signature, no retry, nothing kept to continue from",
			lines: map[work]func(p place) [][]string{
				push: floorPushLine, hugePush: floorPushLine,
				pull:     func(p place) [][]string { return one(p.program, floorArg, "pull", p.ref, p.out) },
				hugePull: func(p place) [][]string { return one(p.program, floorArg, "ranges", p.ref, p.out) },
				copying:  func(p place) [][]string { return one(p.program, floorArg, "copy", p.ref, p.to) },
				saving:   func(p place) [][]string { return one(p.program, floorArg, "save", p.ref, p.archive()) },
				loading:  func(p place) [][]string { return one(p.program, floorArg, "load", p.archive(), p.to) },
			},
			no: map[work]string{repush: noMemory, changed: noMemory, smallPush: perFile, smallPull: perFile},
		},
	}
}

const floorName = "floor"

// everyPushAndPull uses the same command lines for models of any form.
func everyPushAndPull(pushing, pulling, copies func(p place) [][]string) map[work]func(p place) [][]string {
	return map[work]func(p place) [][]string{
		push: pushing, repush: pushing, changed: pushing, smallPush: pushing, hugePush: pushing,
		pull: pulling, smallPull: pulling, hugePull: pulling, copying: copies,
	}
}

// withArchives adds the command lines for archives.
func withArchives(lines map[work]func(p place) [][]string, saves, loads func(p place) [][]string) map[work]func(p place) [][]string {
	lines[saving], lines[loading] = saves, loads
	return lines
}

func modsealPush(p place) [][]string {
	return one(p.program, "push", p.model.dir, p.ref, "--key", filepath.Join(p.keys, "bench.key"))
}

func modsealPull(p place) [][]string {
	return one(p.program, "pull", p.ref, "-o", p.out, "--key", filepath.Join(p.keys, "bench.pub"))
}

func skopeoPull(p place) [][]string {
	return one(p.program, "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+p.ref, "oci:"+p.out+":bench")
}

func floorPushLine(p place) [][]string { return one(p.program, floorArg, "push", p.model.dir, p.ref) }

func hasWeights(m model) bool {
	return slices.ContainsFunc(m.files, func(name string) bool { return strings.HasSuffix(name, ".safetensors") })
}

// modctlMost is for how many files modctl writes a Modelfile; for more of them,
// and where there are no weights, its users write their own.
const modctlMost = 2048

// modelfile lists the directories of a model of text files.
func modelfile(m model) []string {
	lines := []string{"NAME bench"}
	for _, name := range m.files {
		if line := "DOC " + filepath.Dir(name) + "/*.txt"; !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// modctl is told where to store, as it takes no notice of HOME.
func modctl(p place, args ...string) []string {
	return append([]string{p.program, "--storage-dir", filepath.Join(p.home, "storage"), "--log-dir", filepath.Join(p.home, "log")}, args...)
}

// regctl is told for each host that it speaks HTTP.
func regctl(p place, args ...string) []string {
	line := []string{p.program, "--host", "reg=" + p.host + ",tls=disabled"}
	if host, _, ok := strings.Cut(p.to, "/"); ok {
		line = append(line, "--host", "reg="+host+",tls=disabled")
	}
	return append(line, args...)
}

// found returns the tools that are on this machine, and the names of those that
// are not.
func found(all []tool) (there []tool, absent []string) {
	for _, t := range all {
		path, err := exec.LookPath(t.program)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			absent = append(absent, t.name)
			continue
		}
		t.program = path
		there = append(there, t)
	}
	return there, absent
}

// versionOf asks a tool for its version and returns what looks like one.
func versionOf(ctx context.Context, t tool) string {
	if t.version == nil {
		return ""
	}
	output, err := exec.CommandContext(ctx, t.program, t.version...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	words := strings.Fields(string(output))
	if len(words) > 1 && words[0] == "version" { // modseal, of a commit that has no tag
		return words[1]
	}
	for _, word := range words {
		word = strings.Trim(word, ",\"")
		if v := strings.TrimPrefix(word, "v"); strings.Count(v, ".") >= 1 && v[0] >= '0' && v[0] <= '9' {
			return word
		}
	}
	return "unknown"
}
