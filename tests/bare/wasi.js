// Runs a WebAssembly program that was linked with wasi-libc: node wasi.js FILE
const { WASI } = require("node:wasi");
const wasi = new WASI({ version: "preview1", args: ["conformance"] });
const module_ = new WebAssembly.Module(require("fs").readFileSync(process.argv[2]));
process.exit(wasi.start(new WebAssembly.Instance(module_, wasi.getImportObject())));
