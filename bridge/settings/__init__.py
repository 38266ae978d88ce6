"""The two kinds of YAML file, as frozen typed objects, with file and line for every mistake."""
