// Runs a freestanding WebAssembly build of tests/conformance.c: in node by "node wasm.js FILE", in a browser's page by
// run(bytes, print).
function run(bytes, print) {
    let exports;
    const text = at => {
        const memory = new Uint8Array(exports.memory.buffer);
        let s = "";
        for (; memory[at]; at++) s += String.fromCharCode(memory[at]);
        return s;
    };
    const env = { bare_print: at => print(text(at)) };
    exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports;
    return exports.run();
}
if (typeof process !== "undefined") process.exit(run(require("fs").readFileSync(process.argv[2]), console.log));
