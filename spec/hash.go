package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// hash is the identity of what t says: lower-case hex SHA-256 over the JSON of
// its effective values. JSON because it is deterministic (fields in their
// order, map keys sorted) and takes in every exported field that does not opt
// out; those that do say where a thing stands, not what it is.
func (t *Tenant) hash() string {
	data, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("spec: a tenant that is no JSON: %v", err)) // only plain values: a programming error
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
