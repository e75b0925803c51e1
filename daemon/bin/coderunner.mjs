#!/usr/bin/env node
// npm links a command when it installs packages, if its file is there; the bundle is made later.
import '../dist/coderunner.mjs';
