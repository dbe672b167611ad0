package main

// load runs this process as a load of a row, if it is one; then it does not return.
func load() {}
