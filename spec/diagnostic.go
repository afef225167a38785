package spec

// Severity of a Diagnostic.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Diagnostic is one thing wrong with a tree, for the tenant that wrote it.
type Diagnostic struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Tenant   string   `json:"tenant,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}
