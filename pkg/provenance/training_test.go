package provenance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
	"github.com/modseal/modseal/pkg/provenance"
)

type opened struct{ *bytes.Reader }

func (opened) Close() error { return nil }

func file(path, content string) modelfile.File {
	return modelfile.File{Path: path, Size: int64(len(content)), Open: func() (modelfile.ReaderAtCloser, error) {
		return opened{bytes.NewReader([]byte(content))}, nil
	}}
}

// As the Trainer of transformers 4.56 writes it.
const trainerState = `{
  "best_global_step": null, "best_metric": 0.25, "best_model_checkpoint": "/home/bob/out/checkpoint-20",
  "epoch": 3.0, "eval_steps": 500, "global_step": 60, "is_hyper_param_search": false,
  "log_history": [{"epoch": 1.0, "loss": 2.5, "step": 20}, {"epoch": 3.0, "train_runtime": 12.5, "nested": {"a": [1, [2]]}}],
  "max_steps": 60, "num_train_epochs": 3, "stateful_callbacks": {}, "total_flos": 1.5e+15, "train_batch_size": 8, "trial_name": "t"
}`

// As MLflow 2.20 writes them.
const (
	mlmodel = `artifact_path: model
flavors:
  python_function:
    run_id: not this one
    loader_module: mlflow.pytorch
mlflow_version: 2.20.1
model_size_bytes: 1234
model_uuid: 0123456789abcdef0123456789abcdef
run_id: "fedcba9876543210fedcba9876543210"
signature:
  inputs: '[{"type": "string"}]'
utc_time_created: '2026-01-02 03:04:05.678901'
`
	mlflowRun = `artifact_uri: file:///home/bob/mlruns/1/f/artifacts
end_time: 1767326645000
experiment_id: '1'
run_id: fedcba9876543210fedcba9876543210
run_uuid: fedcba9876543210fedcba9876543210
source_version: ''
start_time: 1767323045000
status: 3
user_id: bob
`
)

func TestTraining(t *testing.T) {
	t.Parallel()
	files := []modelfile.File{
		file("mlflow/run/meta.yaml", mlflowRun), file("trainer_state.json", trainerState), file("MLmodel", mlmodel),
		file("model.safetensors", "x"), file("experiment/meta.yaml", "name: default\nexperiment_id: '0'\n"),
		file("all_results.json", `{"train_loss": 1.5, "epoch": 3.0, "note": "text", "ok": true}`),
	}
	want := func(times bool) []provenance.Resource {
		sum := func(content string) map[string]string {
			return map[string]string{"sha256": digest.FromString(content).Encoded()}
		}
		out := []provenance.Resource{
			{Name: "MLmodel", Digest: sum(mlmodel), Annotations: map[string]any{
				"runId": "fedcba9876543210fedcba9876543210", "modelUuid": "0123456789abcdef0123456789abcdef", "mlflowVersion": "2.20.1",
			}},
			{Name: "all_results.json", Digest: sum(`{"train_loss": 1.5, "epoch": 3.0, "note": "text", "ok": true}`), Annotations: map[string]any{
				"train_loss": json.Number("1.5"), "epoch": json.Number("3.0"), "ok": true,
			}},
			{Name: "mlflow/run/meta.yaml", Digest: sum(mlflowRun), Annotations: map[string]any{
				"runId": "fedcba9876543210fedcba9876543210", "experimentId": "1", "status": "3",
			}},
			{Name: "trainer_state.json", Digest: sum(trainerState), Annotations: map[string]any{
				"bestMetric": json.Number("0.25"), "epoch": json.Number("3.0"), "globalStep": json.Number("60"), "maxSteps": json.Number("60"),
				"numTrainEpochs": json.Number("3"), "totalFlos": json.Number("1.5e+15"), "trainBatchSize": json.Number("8"),
			}},
		}
		if times {
			out[0].Annotations["created"] = "2026-01-02T03:04:05Z"
			out[2].Annotations["startedOn"], out[2].Annotations["finishedOn"] = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z"
		}
		return out
	}
	for _, times := range []bool{false, true} {
		got, warnings, err := provenance.Training(t.Context(), files, times)
		if err != nil || len(warnings) > 0 {
			t.Fatal(warnings, err)
		}
		if diff := cmp.Diff(want(times), got); diff != "" {
			t.Errorf("times %v: -want +got:\n%s", times, diff)
		}
	}
}

// What cannot be understood is named with its digest, and says nothing.
func TestTrainingThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	many := `{"a":1`
	for i := range limits.TrainingValues + 1 {
		many += `,"k` + strings.Repeat("x", i) + `":1`
	}
	for name, content := range map[string]string{
		"nothing": "", "not JSON": "hello", "a list": "[1]", "cut": `{"epoch": 1, "log_history": [`, "a text": `"a"`,
		"what Python calls a number": `{"epoch": NaN}`, "deep": `{"log_history":` + strings.Repeat("[", 1<<20) + "}", "no value": `{"epoch"}`,
		"too many values": many + "}", "cut in a key": `{"epo`, "two colons": `{"epoch":: 1}`,
	} {
		base := "trainer_state.json"
		if name == "too many values" {
			base = "all_results.json"
		}
		got, warnings, err := provenance.Training(t.Context(), []modelfile.File{file(base, content)}, true)
		if err != nil || len(warnings) != 1 || len(got) != 1 || got[0].Annotations != nil || len(got[0].Digest) != 1 {
			t.Errorf("%s: %+v, %q, %v", name, got, warnings, err)
		}
	}
}

func TestTrainingIsBounded(t *testing.T) {
	t.Parallel()
	huge := modelfile.File{Path: "trainer_state.json", Size: limits.TrainingRecordBytes + 1, Open: func() (modelfile.ReaderAtCloser, error) {
		return nil, errors.New("it was opened")
	}}
	got, warnings, err := provenance.Training(t.Context(), []modelfile.File{huge}, false)
	if err != nil || len(got) != 0 || len(warnings) != 1 {
		t.Errorf("huge: %v, %v, %v", got, warnings, err)
	}
	var files []modelfile.File
	for i := range limits.TrainingRecords + 1 {
		files = append(files, file(strings.Repeat("d/", i)+"trainer_state.json", "{}"))
	}
	got, warnings, err = provenance.Training(t.Context(), files, false)
	if err != nil || len(got) != limits.TrainingRecords || len(warnings) != 1 {
		t.Errorf("many: %d, %v, %v", len(got), warnings, err)
	}
	cut := file("trainer_state.json", trainerState)
	cut.Size++
	if _, _, err := provenance.Training(t.Context(), []modelfile.File{cut}, false); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := provenance.Training(ctx, []modelfile.File{file("trainer_state.json", "{}")}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzTraining(f *testing.F) {
	f.Add("trainer_state.json", trainerState)
	f.Add("MLmodel", mlmodel)
	f.Add("meta.yaml", mlflowRun)
	f.Fuzz(func(t *testing.T, path, content string) {
		records, _, err := provenance.Training(t.Context(), []modelfile.File{file(path, content)}, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if path != "" && !strings.Contains(path, "\x1b") && bytes.ContainsAny(text, "\x1b") {
				t.Fatalf("%q is not harmless", text)
			}
		}
	})
}
