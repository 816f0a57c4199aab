"use strict";
// The page's side of the worker: no computation keeps the page from answering its user.

/** A model in a worker. Its tasks return promises, and are done in the order of asking. */
class Engine {
  constructor(script) {
    const source = new Blob([script], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(source)); // also where the page is a file
    this.asked = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.asked.get(id);
      this.asked.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.asked.values()) reject(new Error(event.message));
    };
  }

  ask(task, ...data) {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.worker.postMessage({ id, task, data });
    });
  }

  /** Unpacks what the file holds, and returns its images. */
  open(content) {
    return this.ask("open", content);
  }

  /** The code of an image and, where the model has a posterior, its log-variance. */
  encode(image) {
    return this.ask("encode", image);
  }

  decode(code) {
    return this.ask("decode", code);
  }

  sample() {
    return this.ask("sample");
  }

  mix(first, second, share) {
    return this.ask("mix", first, second, share);
  }
}
