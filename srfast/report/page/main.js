/** The page of a score table: the parts follow one another through the state and the selection. */

import "./controls.js";
import "./curve.js";
import "./gallery.js";
import "./scatter.js";
import "./images.js";
import "./texture.js";
import "./galleries.js";
