package hf

// modalities maps the tasks of the hub to what goes in and what comes out, in
// the words of a ModelPack config.
var modalities = func() map[string][2][]string {
	text, image, audio, other := []string{"text"}, []string{"image"}, []string{"audio"}, []string{"other"}
	video, embedding := []string{"video"}, []string{"embedding"}
	m := map[string][2][]string{}
	add := func(in, out []string, tags ...string) {
		for _, tag := range tags {
			m[tag] = [2][]string{in, out}
		}
	}
	add(text, text, "text-generation", "translation", "summarization", "question-answering", "fill-mask")
	add(text, other, "text-classification", "token-classification")
	add(text, embedding, "feature-extraction", "sentence-similarity")
	add([]string{"image", "text"}, text, "image-text-to-text", "visual-question-answering")
	add(image, text, "image-to-text")
	add(image, other, "image-classification", "object-detection", "image-segmentation", "depth-estimation")
	add(image, embedding, "image-feature-extraction")
	add(text, image, "text-to-image")
	add(image, image, "image-to-image")
	add(text, video, "text-to-video")
	add(audio, text, "automatic-speech-recognition")
	add(text, audio, "text-to-speech", "text-to-audio")
	add(audio, audio, "audio-to-audio")
	add([]string{"audio", "text"}, text, "audio-text-to-text")
	add([]string{"video", "text"}, text, "video-text-to-text")
	add(other, other, "tabular-classification", "tabular-regression", "time-series-forecasting", "robotics")
	return m
}()

// Modalities returns what a model for a task of the hub takes and gives. Both
// are nil for a task that leaves it open, as any-to-any.
func Modalities(pipelineTag string) (in, out []string) {
	m := modalities[pipelineTag]
	return append(in, m[0]...), append(out, m[1]...)
}
