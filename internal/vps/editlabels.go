package vps

// SetLabel sets a label, or replaces its value.
type SetLabel struct{ Key, Value string }

// Apply sets it.
func (e SetLabel) Apply(v *VPS) error {
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	v.Labels[e.Key] = e.Value
	return nil
}

// Part is "": nothing inside depends on labels.
func (SetLabel) Part() Part { return "" }

func (e SetLabel) String() string { return "label " + e.Key + "=" + e.Value }

// RemoveLabel removes a label. No-op if the VPS does not have it.
type RemoveLabel struct{ Key string }

// Apply removes it.
func (e RemoveLabel) Apply(v *VPS) error {
	delete(v.Labels, e.Key)
	return nil
}

// Part is "".
func (RemoveLabel) Part() Part { return "" }

func (e RemoveLabel) String() string { return "remove label " + e.Key }

// SetDescription sets the description; "" removes it.
type SetDescription struct{ Text string }

// Apply sets it.
func (e SetDescription) Apply(v *VPS) error {
	v.Description = e.Text
	return nil
}

// Part is "".
func (SetDescription) Part() Part { return "" }

func (e SetDescription) String() string { return "description " + e.Text }
