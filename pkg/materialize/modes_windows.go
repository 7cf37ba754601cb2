package materialize

const modesMatter = false
