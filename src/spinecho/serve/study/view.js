// The image on its canvas: window and level by dragging, zoom by wheel, keys or two fingers.

const LARGEST_ZOOM = 12;

export class View {
  constructor(canvas, side, levels, white, told) {
    Object.assign(this, { canvas, side, levels, white, told });
    this.drawn = new OffscreenCanvas(side, side);
    this.pointers = new Map();
    this.pixels = null;
    this.reset();
    this.listen();
  }

  show(pixels) {
    this.pixels = pixels;
    this.reset();
  }

  reset() {
    this.width = this.white * this.levels;
    this.level = this.width / 2;
    this.zoom = 1;
    this.x = this.y = 0; // where the image's middle lies, in canvas sides from the canvas's middle
    this.windowed();
  }

  windowed() {
    if (this.pixels) {
      const low = this.level - this.width / 2;
      const table = new Uint8ClampedArray(this.levels + 1);
      for (let v = 0; v <= this.levels; v++) table[v] = ((v - low) / this.width) * 255;
      const image = new ImageData(this.side, this.side);
      for (let i = 0, k = 0; i < this.pixels.length; i++) {
        const grey = table[this.pixels[i]];
        image.data[k++] = image.data[k++] = image.data[k++] = grey;
        image.data[k++] = 255;
      }
      this.drawn.getContext("2d").putImageData(image, 0, 0);
    }
    const percent = (v) => Math.round((100 * v) / (this.white * this.levels));
    this.told(`width ${percent(this.width)} %, level ${percent(this.level)} %`);
    this.paint();
  }

  paint() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, w, h);
    if (!this.pixels) return;
    const fit = Math.min(w, h);
    const size = fit * this.zoom;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.drawn, w / 2 + this.x * fit - size / 2, h / 2 + this.y * fit - size / 2, size, size);
  }

  // Zoom so that what lies under (clientX, clientY) stays there; without a place about the middle.
  zoomed(factor, clientX = null, clientY = null) {
    const box = this.canvas.getBoundingClientRect();
    const fit = Math.min(box.width, box.height);
    const px = clientX === null ? 0 : (clientX - box.left - box.width / 2) / fit;
    const py = clientY === null ? 0 : (clientY - box.top - box.height / 2) / fit;
    const zoom = Math.min(LARGEST_ZOOM, Math.max(1, this.zoom * factor));
    this.x = px + (this.x - px) * (zoom / this.zoom);
    this.y = py + (this.y - py) * (zoom / this.zoom);
    this.zoom = zoom;
    this.moved(0, 0);
  }

  moved(dx, dy) {
    const room = (this.zoom - 1) / 2 + (this.zoom > 1 ? 0.25 : 0);
    this.x = Math.min(room, Math.max(-room, this.x + dx));
    this.y = Math.min(room, Math.max(-room, this.y + dy));
    this.paint();
  }

  listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const shifts = event.shiftKey || event.button > 0;
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, shifts });
    });
    canvas.addEventListener("pointermove", (event) => this.dragged(event));
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomed(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
    }, { passive: false });
    new ResizeObserver(() => this.paint()).observe(canvas);
  }

  dragged(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    const fit = Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
    if (this.pointers.size > 1) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (x, y) => Math.max(1, Math.hypot(x - other.x, y - other.y));
      const factor = apart(event.clientX, event.clientY) / apart(pointer.x, pointer.y);
      this.zoomed(factor, (event.clientX + other.x) / 2, (event.clientY + other.y) / 2);
      this.moved(dx / 2 / fit, dy / 2 / fit);
    } else if (pointer.shifts) {
      this.moved(dx / fit, dy / fit);
    } else {
      const whole = this.levels;
      this.width = Math.min(2 * whole, Math.max(whole / 100, this.width + (dx / fit) * whole));
      this.level = Math.min(1.5 * whole, Math.max(-whole / 2, this.level + (dy / fit) * whole));
      this.windowed();
    }
    [pointer.x, pointer.y] = [event.clientX, event.clientY];
  }
}
