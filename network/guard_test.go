package network

import (
	"fmt"
	"testing"
)

func TestGuard(t *testing.T) {
	table := fixed()
	plan, err := NewPlan(table, mustClaim(t, &table, "web"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "guard.golden", fmt.Sprintf("# at the port\n%v\n# behind the filters\n%v", plan.GuardProgram(), CatchAllProgram()))
	one, err := Assemble(plan.GuardProgram())
	if err != nil {
		t.Fatal(err)
	}
	if other, err := Assemble(plan.Without(nil).GuardProgram()); err != nil || other.Name != one.Name {
		t.Errorf("the same is called %s and %s, %v", one.Name, other.Name, err)
	}
	if other, err := Assemble(plan.Without(plan.OwnAddresses()[:1]).GuardProgram()); err != nil || other.Name == one.Name {
		t.Errorf("without an address it is still called %s, %v", other.Name, err)
	}
}
