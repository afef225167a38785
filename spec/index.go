package spec

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxIndexDepth bounds the nesting of a file that Index reads.
const maxIndexDepth = 64

// Index says where every key of a YAML file stands, by its path as it is
// written: "server.listen", "tenants[0].name", "tenants[0]" for the item. It
// is for messages about files that others decode, such as settings. Aliases
// are not followed. Data must be one document, a mapping, or empty; the error
// is a *SyntaxError.
func Index(data []byte) (map[string]Place, error) {
	roots, err := documents(data)
	if err != nil {
		return nil, err
	}
	places := map[string]Place{}
	switch {
	case len(roots) == 0:
		return places, nil
	case len(roots) > 1:
		return nil, &SyntaxError{Place: place(roots[1]), What: "there is more than one document", Hint: "only one would be read"}
	case roots[0].Kind != yaml.MappingNode:
		return nil, &SyntaxError{Place: place(roots[0]), What: "expected a mapping (key: value), got " + describe(roots[0])}
	}
	if err := index(places, "", roots[0], 0); err != nil {
		return nil, err
	}
	return places, nil
}

// index adds what is below n.
func index(places map[string]Place, path string, n *yaml.Node, depth int) error {
	if depth > maxIndexDepth {
		return &SyntaxError{Place: place(n), What: "nested too deeply", Hint: "at most " + strconv.Itoa(maxIndexDepth) + " levels"}
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			below := key.Value
			if path != "" {
				below = path + "." + key.Value
			}
			if _, twice := places[below]; !twice {
				places[below] = place(key)
			}
			if err := index(places, below, n.Content[i+1], depth+1); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			below := path + "[" + strconv.Itoa(i) + "]"
			places[below] = place(item)
			if err := index(places, below, item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
