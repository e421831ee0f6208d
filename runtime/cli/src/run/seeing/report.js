"use strict";
const table = document.getElementById("variables");
const all = document.getElementById("all");
if (all)
	all.onclick = () => { table.classList.add("whole"); all.remove(); };
if (table)
	table.tHead.querySelectorAll("th").forEach((head, column) => {
		head.querySelector("button").onclick = () => {
			const descending = head.ariaSort !== "descending";
			table.tHead.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
			head.ariaSort = descending ? "descending" : "ascending";
			const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
			const sign = descending ? -1 : 1;
			const body = table.tBodies[0], shown = table.querySelectorAll("tbody tr:not(.more)").length;
			const rows = [...body.rows].sort((a, b) =>
				sign * String(value(a)).localeCompare(String(value(b)), "en", { numeric: true }));
			rows.forEach((row, index) => { row.classList.toggle("more", index >= shown); body.append(row); });
		};
	});
