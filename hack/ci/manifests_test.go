package ci_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	argo "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	kserve "github.com/kserve/kserve/pkg/apis/serving/v1alpha1"
	tekton "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// kinds are the types that their projects publish, by apiVersion and kind.
var kinds = map[string]func() any{
	"v1 ConfigMap":                          func() any { return &corev1.ConfigMap{} },
	"v1 Secret":                             func() any { return &corev1.Secret{} },
	"v1 Pod":                                func() any { return &corev1.Pod{} },
	"v1 PersistentVolumeClaim":              func() any { return &corev1.PersistentVolumeClaim{} },
	"apps/v1 Deployment":                    func() any { return &appsv1.Deployment{} },
	"batch/v1 Job":                          func() any { return &batchv1.Job{} },
	"tekton.dev/v1 Task":                    func() any { return &tekton.Task{} },
	"argoproj.io/v1alpha1 WorkflowTemplate": func() any { return &argo.WorkflowTemplate{} },
	"serving.kserve.io/v1alpha1 ClusterStorageContainer": func() any { return &kserve.ClusterStorageContainer{} },
}

// decode reads one document, whose every field must be one of its type, once, and of
// the right case.
func decode(t *testing.T, document []byte) any {
	t.Helper()
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		t.Fatal(err)
	}
	of := kinds[head.APIVersion+" "+head.Kind]
	if of == nil {
		t.Fatalf("%s %s has no type here: add it, or it is not checked", head.APIVersion, head.Kind)
	}
	object := of()
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		t.Fatalf("%s: %v", head.Kind, err)
	}
	return object
}

// documents reads all manifests of the directories.
func documents(t *testing.T, directories ...string) map[string][]any {
	t.Helper()
	out := map[string][]any{}
	for _, dir := range directories {
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no manifest: %v", dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
			for {
				document, err := r.Read()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if len(bytes.TrimSpace(document)) > 0 {
					out[file] = append(out[file], decode(t, document))
				}
			}
		}
	}
	return out
}

// What runs beside other things has no right that it does not need.
func TestEveryContainerIsRestricted(t *testing.T) {
	n := 0
	for file, objects := range documents(t, "kubernetes", "argo", "tekton") {
		for _, object := range objects {
			for _, c := range containersOf(object) {
				n++
				checkRestricted(t, file, c)
			}
		}
	}
	if want := 9; n != want {
		t.Errorf("%d containers were looked at, want %d", n, want)
	}
}

// container is what all of them have in common.
type container struct {
	name       string
	pod        *corev1.PodSecurityContext
	own        *corev1.SecurityContext
	writesRoot bool // of KServe and Tekton, which write into it themselves
}

func containersOf(object any) (out []container) {
	pod := func(spec corev1.PodSpec) {
		for _, c := range append(spec.InitContainers, spec.Containers...) {
			out = append(out, container{name: c.Name, pod: spec.SecurityContext, own: c.SecurityContext})
		}
	}
	switch o := object.(type) {
	case *corev1.Pod:
		pod(o.Spec)
	case *appsv1.Deployment:
		pod(o.Spec.Template.Spec)
	case *batchv1.Job:
		pod(o.Spec.Template.Spec)
	case *kserve.ClusterStorageContainer:
		out = append(out, container{name: o.Spec.Container.Name, own: o.Spec.Container.SecurityContext, writesRoot: true})
	case *tekton.Task:
		for _, s := range o.Spec.Steps {
			out = append(out, container{name: s.Name, own: s.SecurityContext, writesRoot: true})
		}
	case *argo.WorkflowTemplate:
		for _, x := range o.Spec.Templates {
			out = append(out, container{name: x.Name, own: x.Container.SecurityContext})
		}
	}
	return out
}

func checkRestricted(t *testing.T, file string, c container) {
	t.Helper()
	is := func(b *bool, want bool) bool { return b != nil && *b == want }
	problem := func(what string) { t.Errorf("%s: container %s: %s", file, c.name, what) }
	if c.own == nil {
		problem("has no securityContext")
		return
	}
	nonRoot := is(c.own.RunAsNonRoot, true) || c.pod != nil && is(c.pod.RunAsNonRoot, true)
	profile := c.own.SeccompProfile
	if profile == nil && c.pod != nil {
		profile = c.pod.SeccompProfile
	}
	switch {
	case !nonRoot:
		problem("may run as root")
	case !is(c.own.AllowPrivilegeEscalation, false):
		problem("may gain privileges")
	case c.own.Capabilities == nil || len(c.own.Capabilities.Drop) != 1 || c.own.Capabilities.Drop[0] != "ALL" || len(c.own.Capabilities.Add) > 0:
		problem("keeps capabilities")
	case profile == nil || profile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		problem("has no seccomp profile")
	case !c.writesRoot && !is(c.own.ReadOnlyRootFilesystem, true):
		problem("may write its root file system")
	}
}

// Volumes that are mounted are there, and what holds policies and keys is mounted
// read-only.
func TestMountsHaveVolumes(t *testing.T) {
	for file, objects := range documents(t, "kubernetes") {
		for _, object := range objects {
			spec := podOf(object)
			if spec == nil {
				continue
			}
			volumes := map[string]corev1.Volume{}
			for _, v := range spec.Volumes {
				volumes[v.Name] = v
			}
			for _, c := range append(spec.InitContainers, spec.Containers...) {
				for _, m := range c.VolumeMounts {
					v, ok := volumes[m.Name]
					switch {
					case !ok:
						t.Errorf("%s: %s mounts %s, which is no volume", file, c.Name, m.Name)
					case !m.ReadOnly && (v.ConfigMap != nil || v.Secret != nil || v.Image != nil):
						t.Errorf("%s: %s mounts %s writable", file, c.Name, m.Name)
					}
				}
			}
		}
	}
}

func podOf(object any) *corev1.PodSpec {
	switch o := object.(type) {
	case *corev1.Pod:
		return &o.Spec
	case *appsv1.Deployment:
		return &o.Spec.Template.Spec
	case *batchv1.Job:
		return &o.Spec.Template.Spec
	}
	return nil
}

// Tekton's own validation, which its webhook does.
func TestTekton(t *testing.T) {
	for file, objects := range documents(t, "tekton") {
		for _, object := range objects {
			task, ok := object.(*tekton.Task)
			if !ok {
				t.Fatalf("%s has a %T", file, object)
			}
			task.SetDefaults(t.Context())
			if err := task.Validate(t.Context()); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, r := range task.Spec.Results {
				written := "--report=" + r.Name + "=$(results." + r.Name + ".path)"
				if !strings.Contains(strings.Join(task.Spec.Steps[0].Args, " "), written) {
					t.Errorf("%s: nothing writes the result %s", file, r.Name)
				}
			}
		}
	}
}

// Of Argo Workflows: every output that is read is written, and in a volume.
func TestArgo(t *testing.T) {
	for file, objects := range documents(t, "argo") {
		for _, object := range objects {
			for _, x := range object.(*argo.WorkflowTemplate).Spec.Templates {
				args := strings.Join(x.Container.Args, " ")
				for _, p := range x.Outputs.Parameters {
					if !strings.Contains(args, "--report="+p.Name+"="+p.ValueFrom.Path) || p.ValueFrom.Default == nil {
						t.Errorf("%s: %s: nothing writes the output %s, or it has no default", file, x.Name, p.Name)
					}
				}
				for _, a := range x.Outputs.Artifacts {
					if !strings.Contains(args, "="+a.Path) || !a.Optional {
						t.Errorf("%s: %s: nothing writes the artifact %s", file, x.Name, a.Name)
					}
				}
			}
		}
	}
}
