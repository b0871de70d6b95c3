"""The lexical guard of the semantic cache: named rules that refuse to serve the answer of another question."""
