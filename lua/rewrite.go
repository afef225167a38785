package lua

import (
	"strconv"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// The names under which rewritten code finds the natives that stand in for
// opcodes. No identifier can be spelled like this, so no script can reach or
// replace them.
const (
	nativeConcat = "(concat)"
	nativeTable  = "(table)"
	nativeSet    = "(set)"
)

// rewriter changes a syntax tree so that whatever allocates asks the budget:
//
//	a .. b .. c        (concat)(a, b, c)
//	{}                 (table)()
//	{x, k = y, [z]=w}  (table)({x, k = y}, fields, z, w)
//	t[i] = v           (set)(t, i, v)
//
// Assignments to constant names (t.name = v) stay: a source names only so many.
// It also measures nesting, left-leaning chains included, which the scan of
// tokens cannot see and the code generator recurses into.
type rewriter struct {
	path string
	err  *Error
}

// chunk rewrites in place.
func (r *rewriter) chunk(stmts []ast.Stmt) *Error {
	r.block(stmts, 0)
	return r.err
}

// deep reports whether the walk should go no deeper.
func (r *rewriter) deep(at ast.PositionHolder, depth int) bool {
	if depth > maxDepth && r.err == nil {
		r.err = &Error{File: r.path, Line: at.Line(), Msg: tooDeep}
	}
	return r.err != nil
}

func (r *rewriter) block(stmts []ast.Stmt, depth int) {
	for i, stmt := range stmts {
		if r.deep(stmt, depth) {
			return
		}
		stmts[i] = r.stmt(stmt, depth)
	}
}

func (r *rewriter) stmt(stmt ast.Stmt, depth int) ast.Stmt {
	switch st := stmt.(type) {
	case *ast.AssignStmt:
		return r.assign(st, depth)
	case *ast.LocalAssignStmt:
		r.exprs(st.Exprs, depth)
	case *ast.FuncCallStmt:
		st.Expr = r.expr(st.Expr, depth)
	case *ast.DoBlockStmt:
		r.block(st.Stmts, depth+1)
	case *ast.WhileStmt:
		st.Condition = r.expr(st.Condition, depth)
		r.block(st.Stmts, depth+1)
	case *ast.RepeatStmt:
		st.Condition = r.expr(st.Condition, depth)
		r.block(st.Stmts, depth+1)
	case *ast.IfStmt:
		r.ifs(st, depth)
	case *ast.NumberForStmt:
		st.Init, st.Limit = r.expr(st.Init, depth), r.expr(st.Limit, depth)
		if st.Step != nil {
			st.Step = r.expr(st.Step, depth)
		}
		r.block(st.Stmts, depth+1)
	case *ast.GenericForStmt:
		r.exprs(st.Exprs, depth)
		r.block(st.Stmts, depth+1)
	case *ast.FuncDefStmt:
		r.block(st.Func.Stmts, depth+1)
	case *ast.ReturnStmt:
		r.exprs(st.Exprs, depth)
	}
	return stmt
}

// ifs walks an if with its elseifs, which the parser nests in one another and
// people do not.
func (r *rewriter) ifs(st *ast.IfStmt, depth int) {
	for {
		st.Condition = r.expr(st.Condition, depth)
		r.block(st.Then, depth+1)
		if len(st.Else) != 1 {
			break
		}
		next, ok := st.Else[0].(*ast.IfStmt)
		if !ok {
			break
		}
		st = next
	}
	r.block(st.Else, depth+1)
}

// assign rewrites assignments to computed keys. Several at once keep their
// order: all sides are evaluated before anything is assigned.
func (r *rewriter) assign(st *ast.AssignStmt, depth int) ast.Stmt {
	computed := false
	for i, lhs := range st.Lhs {
		st.Lhs[i] = r.expr(lhs, depth)
		computed = computed || isComputed(st.Lhs[i])
	}
	r.exprs(st.Rhs, depth)
	if !computed || r.err != nil {
		return st
	}
	if len(st.Lhs) == 1 && len(st.Rhs) == 1 {
		return set(st.Lhs[0].(*ast.AttrGetExpr), st.Rhs[0], st.Line())
	}
	targets := &ast.LocalAssignStmt{}
	values := &ast.LocalAssignStmt{Exprs: st.Rhs}
	block := &ast.DoBlockStmt{Stmts: []ast.Stmt{targets, values}}
	for i, lhs := range st.Lhs {
		n := strconv.Itoa(i)
		value := ident("(value "+n+")", st.Line())
		values.Names = append(values.Names, value.Value)
		attr, ok := lhs.(*ast.AttrGetExpr)
		if !ok {
			one := &ast.AssignStmt{Lhs: []ast.Expr{lhs}, Rhs: []ast.Expr{value}}
			one.SetLine(st.Line())
			block.Stmts = append(block.Stmts, one)
			continue
		}
		object, key := ident("(object "+n+")", st.Line()), ident("(key "+n+")", st.Line())
		targets.Names = append(targets.Names, object.Value, key.Value)
		targets.Exprs = append(targets.Exprs, single(attr.Object), single(attr.Key))
		place := &ast.AttrGetExpr{Object: object, Key: key}
		block.Stmts = append(block.Stmts, set(place, value, st.Line()))
	}
	for _, stmt := range []ast.Stmt{targets, values, block} {
		stmt.SetLine(st.Line())
		stmt.SetLastLine(st.LastLine())
	}
	return block
}

// set is the statement (set)(object, key, value).
func set(place *ast.AttrGetExpr, value ast.Expr, line int) ast.Stmt {
	call := &ast.FuncCallStmt{Expr: callNative(nativeSet, line, place.Object, place.Key, single(value))}
	call.SetLine(line)
	return call
}

// isComputed tells whether assigning to e can name any number of keys.
func isComputed(e ast.Expr) bool {
	attr, ok := e.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	_, constant := attr.Key.(*ast.StringExpr)
	return !constant
}

func (r *rewriter) exprs(list []ast.Expr, depth int) {
	for i, e := range list {
		list[i] = r.expr(e, depth)
	}
}

func (r *rewriter) expr(expr ast.Expr, depth int) ast.Expr {
	depth++
	if r.deep(expr, depth) {
		return expr
	}
	switch e := expr.(type) {
	case *ast.NumberExpr:
		e.Value = decimal(e.Value)
	case *ast.AttrGetExpr:
		e.Object, e.Key = r.expr(e.Object, depth), r.expr(e.Key, depth)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = r.expr(e.Func, depth)
		}
		if e.Receiver != nil {
			e.Receiver = r.expr(e.Receiver, depth)
		}
		r.exprs(e.Args, depth)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs, depth), r.expr(e.Rhs, depth)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs, depth), r.expr(e.Rhs, depth)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs, depth), r.expr(e.Rhs, depth)
	case *ast.UnaryMinusOpExpr:
		e.Expr = r.expr(e.Expr, depth)
	case *ast.UnaryNotOpExpr:
		e.Expr = r.expr(e.Expr, depth)
	case *ast.UnaryLenOpExpr:
		e.Expr = r.expr(e.Expr, depth)
	case *ast.FunctionExpr:
		r.block(e.Stmts, depth)
	case *ast.StringConcatOpExpr:
		return r.concat(e, depth)
	case *ast.TableExpr:
		return r.table(e, depth)
	}
	return expr
}

// concat flattens a right-leaning chain into one call.
func (r *rewriter) concat(e *ast.StringConcatOpExpr, depth int) ast.Expr {
	var parts []ast.Expr
	for {
		parts = append(parts, single(r.expr(e.Lhs, depth)))
		next, ok := e.Rhs.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		if depth++; r.deep(next, depth) {
			return e
		}
		e = next
	}
	parts = append(parts, single(r.expr(e.Rhs, depth)))
	return callNative(nativeConcat, parts[0].Line(), parts...)
}

// farIndex is the largest constant index that a constructor may fill up to
// without being asked.
const farIndex = 64

// pairsACall is how many computed fields go into one call: each takes two
// registers, of which a function has about 200.
const pairsACall = 32

// table passes a constructor through the budget. Fields with computed keys are
// set after the others.
func (r *rewriter) table(e *ast.TableExpr, depth int) ast.Expr {
	line := e.Line()
	if len(e.Fields) == 0 {
		return callNative(nativeTable, line)
	}
	kept := e.Fields[:0]
	named := 0
	var pairs []ast.Expr
	for i, f := range e.Fields {
		f.Value = r.expr(f.Value, depth)
		if i < len(e.Fields)-1 { // it may stand last once others are taken out
			f.Value = single(f.Value)
		}
		switch key := f.Key.(type) {
		case nil:
			kept = append(kept, f)
		case *ast.StringExpr:
			named++
			kept = append(kept, f)
		case *ast.NumberExpr:
			if n, ok := parseNumber(key.Value); ok && n >= 1 && n <= farIndex {
				f.Key = r.expr(key, depth)
				named++
				kept = append(kept, f)
				continue
			}
			pairs = append(pairs, r.expr(key, depth), single(f.Value))
		default:
			pairs = append(pairs, single(r.expr(f.Key, depth)), single(f.Value))
		}
	}
	e.Fields = kept
	fields := &ast.NumberExpr{Value: strconv.Itoa(named)}
	fields.SetLine(line)
	var made ast.Expr = e
	for {
		n := min(len(pairs), 2*pairsACall)
		made = callNative(nativeTable, line, append([]ast.Expr{made, fields}, pairs[:n]...)...)
		if pairs = pairs[n:]; len(pairs) == 0 {
			return made
		}
		fields = &ast.NumberExpr{Value: "0"}
		fields.SetLine(line)
	}
}

// callNative calls a hidden native for exactly one value.
func callNative(name string, line int, args ...ast.Expr) ast.Expr {
	call := &ast.FuncCallExpr{Func: ident(name, line), Args: args, AdjustRet: true}
	call.SetLine(line)
	return call
}

func ident(name string, line int) *ast.IdentExpr {
	e := &ast.IdentExpr{Value: name}
	e.SetLine(line)
	return e
}

// single keeps a call or ... from giving more than one value where it now
// stands last in a list.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// decimal takes off the zeros before a number, which the interpreter would
// read as octal.
func decimal(s string) string {
	if len(s) > 1 && s[0] == '0' && '0' <= s[1] && s[1] <= '9' {
		s = strings.TrimLeft(s, "0")
		if s == "" || s[0] < '0' || s[0] > '9' {
			s = "0" + s
		}
	}
	return s
}
