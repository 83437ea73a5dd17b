// On every page.
import { startConfirm } from "./confirm.js";
import { startCopy } from "./copy.js";
import { startDrawer } from "./drawer.js";
import { startFilter } from "./filter.js";
import { startForms } from "./forms.js";
import { startKeys } from "./keys.js";
import { startLive } from "./live.js";
import { startDialogs, startMenus } from "./menus.js";
import { startPalette } from "./palette.js";
import { startTable } from "./table.js";
import { startToasts } from "./toasts.js";
import "./times.js";

startConfirm();
startCopy();
startForms();
startMenus();
startDialogs();
startToasts();
startTable();
startFilter();
startPalette();
startDrawer();
startKeys();
startLive();
