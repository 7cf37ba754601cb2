package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// podContainer is what Tekton, Argo Workflows and Kubernetes have in common.
type podContainer struct {
	Name    string   `json:"name"`
	Command []string `json:"command"`
	Args    []string `json:"args"`
	Env     []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"env"`
	VolumeMounts []struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		ReadOnly  bool   `json:"readOnly"`
	} `json:"volumeMounts"`
}

// run runs a container here: what would be mounted is a directory of the script, which
// the input of the volume's name says, or an empty one; and so are other paths.
func (r *ciRun) run(c podContainer, fill func(string) []string, paths map[string]string) int {
	for _, m := range c.VolumeMounts {
		from := filepath.Join(r.dir, m.Name)
		if dir, ok := r.inputs["volume."+m.Name]; ok {
			from = r.ts.MkAbs(dir)
		}
		r.ts.Check(os.MkdirAll(from, 0o755))
		paths[m.MountPath] = from
	}
	here := func(s string) string {
		for path, dir := range paths {
			// One at most: the directories of the script are below /tmp themselves.
			if at := regexp.MustCompile(`(^|=)` + regexp.QuoteMeta(path) + `(/|$)`); at.MatchString(s) {
				return at.ReplaceAllString(s, "${1}"+dir+"${2}")
			}
		}
		return s
	}
	var env []string
	for _, e := range c.Env {
		// HOME is that of the script; a value that comes from elsewhere is in its environment.
		if e.Name != "HOME" && e.Value != "" {
			env = append(env, e.Name+"="+here(e.Value))
		}
	}
	var argv []string
	for _, a := range append(append([]string{}, c.Command...), c.Args...) {
		for _, x := range fill(a) {
			argv = append(argv, here(x))
		}
	}
	_ = os.Remove(r.ts.MkAbs("ci.out"))
	return r.exec(env, argv...)
}

var (
	tektonParam  = regexp.MustCompile(`\$\(params\.([a-z]+)\)`)
	tektonList   = regexp.MustCompile(`^\$\(params\.([a-z]+)\[\*\]\)$`)
	tektonResult = regexp.MustCompile(`\$\(results\.([a-z_]+)\.path\)`)
)

// tekton runs the step of a Task: parameters take their places, a list as many as it
// has, and results are files.
func (r *ciRun) tekton(file, _ string) int {
	text, err := os.ReadFile(file)
	r.ts.Check(err)
	task := parseYAML[struct {
		Spec struct {
			Params []struct {
				Name    string `json:"name"`
				Type    string `json:"type"`
				Default any    `json:"default"`
			} `json:"params"`
			Workspaces []struct {
				Name      string `json:"name"`
				MountPath string `json:"mountPath"`
			} `json:"workspaces"`
			Results []struct {
				Name string `json:"name"`
			} `json:"results"`
			Steps []podContainer `json:"steps"`
		} `json:"spec"`
	}](r.ts, string(text))
	for _, p := range task.Spec.Params {
		if _, ok := r.inputs[p.Name]; !ok && p.Type == "string" && p.Default == nil {
			r.ts.Fatalf("the parameter %s is missing", p.Name)
		}
	}
	paths := map[string]string{}
	for _, w := range task.Spec.Workspaces {
		if dir, ok := r.inputs["workspace."+w.Name]; ok {
			paths[w.MountPath] = r.ts.MkAbs(dir)
		}
	}
	results := filepath.Join(r.dir, "results")
	r.ts.Check(os.MkdirAll(results, 0o755))
	code := r.run(task.Spec.Steps[0], func(s string) []string {
		if m := tektonList.FindStringSubmatch(s); m != nil {
			return r.lists[m[1]]
		}
		s = tektonResult.ReplaceAllString(s, results+"/$1")
		return []string{tektonParam.ReplaceAllStringFunc(s, func(m string) string { return r.inputs[tektonParam.FindStringSubmatch(m)[1]] })}
	}, paths)
	for _, res := range task.Spec.Results {
		if value, err := os.ReadFile(filepath.Join(results, res.Name)); err == nil {
			r.outputs[res.Name] = string(value)
		}
	}
	return code
}

var argoParameter = regexp.MustCompile(`\{\{(inputs|workflow)\.parameters\.([a-z]+)\}\}`)

// argo runs the container of one template of a WorkflowTemplate, and reads its output
// parameters from the files that it names.
func (r *ciRun) argo(file, name string) int {
	text, err := os.ReadFile(file)
	r.ts.Check(err)
	w := parseYAML[struct {
		Spec struct {
			Templates []struct {
				Name    string `json:"name"`
				Outputs struct {
					Parameters []struct {
						Name      string `json:"name"`
						ValueFrom struct {
							Path    string  `json:"path"`
							Default *string `json:"default"`
						} `json:"valueFrom"`
					} `json:"parameters"`
				} `json:"outputs"`
				Container podContainer `json:"container"`
			} `json:"templates"`
		} `json:"spec"`
	}](r.ts, string(text))
	for _, t := range w.Spec.Templates {
		if t.Name != name {
			continue
		}
		paths := map[string]string{}
		code := r.run(t.Container, func(s string) []string {
			return []string{argoParameter.ReplaceAllStringFunc(s, func(m string) string { return r.inputs[argoParameter.FindStringSubmatch(m)[2]] })}
		}, paths)
		for _, p := range t.Outputs.Parameters {
			value, err := os.ReadFile(filepath.Join(paths["/results"], filepath.Base(p.ValueFrom.Path)))
			if err != nil && p.ValueFrom.Default != nil {
				value = []byte(*p.ValueFrom.Default)
			}
			r.outputs[p.Name] = string(value)
		}
		return code
	}
	r.ts.Fatalf("%s has no template %s", file, name)
	return 0
}

// container runs the container NAME of a manifest, with the arguments that the input
// arg, a list, has in the place of its own. replace.OLD=NEW changes its arguments, since
// a manifest names registries that are not here.
func (r *ciRun) container(file, name string) int {
	text, err := os.ReadFile(file)
	r.ts.Check(err)
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		for _, c := range containersIn(parseYAML[any](r.ts, document)) {
			if c["name"] != name {
				continue
			}
			text, err := yaml.Marshal(c)
			r.ts.Check(err)
			found := parseYAML[podContainer](r.ts, string(text))
			if args := r.lists["arg"]; len(args) > 0 {
				found.Args = args
			}
			return r.run(found, func(s string) []string {
				for key, value := range r.inputs {
					if old, ok := strings.CutPrefix(key, "replace."); ok {
						s = strings.ReplaceAll(s, old, value)
					}
				}
				return []string{s}
			}, r.paths())
		}
	}
	r.ts.Fatalf("%s has no container %s", file, name)
	return 0
}

// paths are where paths of a container are here: path.PATH=DIR says it.
func (r *ciRun) paths() map[string]string {
	out := map[string]string{"/dev/termination-log": filepath.Join(r.dir, "termination-log")}
	for key, dir := range r.inputs {
		if path, ok := strings.CutPrefix(key, "path."); ok {
			out[path] = r.ts.MkAbs(dir)
		}
	}
	return out
}

// containersIn finds everything in a document that has a name and a command.
func containersIn(v any) (out []map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		if v["command"] != nil && v["name"] != nil {
			out = append(out, v)
		}
		for _, inner := range v {
			out = append(out, containersIn(inner)...)
		}
	case []any:
		for _, inner := range v {
			out = append(out, containersIn(inner)...)
		}
	}
	return out
}
